"""Tables of text: aligned for a terminal, Markdown, or LaTeX."""

import re
import statistics
from collections.abc import Sequence
from typing import NamedTuple

#: Columns that hold words and are aligned to the left; the others hold numbers.
WORDS = 3

#: What LaTeX would take for a command, or has no letter for in every font.
LATEX = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "–": "--",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


class Spread(NamedTuple):
    """Mean over the seeds and their sample standard deviation; ``None`` where there is nothing to
    compute it from.

    Args:
        mean: over the runs that have the number.
        deviation: over the same.
        defined: how many these are.
        runs: how many there are.
    """

    mean: float | None
    deviation: float | None
    defined: int = 0
    runs: int = 0

    @property
    def text(self) -> str:
        """In percent with one decimal; "-" where there is none.

        Example:
            >>> Spread(0.712, 0.0149).text, Spread(0.712, None).text, Spread(None, None).text
            ('71.2 ± 1.5', '71.2 ± -', '-')
            >>> Spread(0.633, 0.003, 2, 3).text
            '63.3 ± 0.3 (2 of 3)'
        """
        if self.mean is None:
            return "-"
        share = f" ({self.defined} of {self.runs})" if self.defined < self.runs else ""
        deviation = "-" if self.deviation is None else f"{100 * self.deviation:.1f}"
        return f"{100 * self.mean:.1f} ± {deviation}{share}"


def spread_of(values: Sequence[float | None]) -> Spread:
    """Mean and sample standard deviation of the values that are defined.

    Example:
        >>> mean, deviation, defined, runs = spread_of([0.7, 0.8, None])
        >>> round(mean, 4), round(deviation, 4), defined, runs
        (0.75, 0.0707, 2, 3)
        >>> spread_of([0.7]).deviation, spread_of([None]).mean
        (None, None)
    """
    defined = [value for value in values if value is not None]
    mean = statistics.fmean(defined) if defined else None
    deviation = statistics.stdev(defined) if len(defined) > 1 else None
    return Spread(mean, deviation, len(defined), len(values))


def listed(numbers: Sequence[int]) -> str:
    """Ascending numbers to read, of which four or more in a row are told by the first and the last.

    Example:
        >>> listed([0, 1, 2]), listed([0, 1, 2, 3, 7]), listed([-1, 5])
        ('0, 1, 2', '0–3, 7', '-1, 5')
    """
    rows: list[list[int]] = []
    for number in numbers:
        if rows and number == rows[-1][-1] + 1:
            rows[-1].append(number)
        else:
            rows.append([number])
    return ", ".join(
        f"{row[0]}–{row[-1]}" if len(row) > 3 else ", ".join(map(str, row)) for row in rows
    )


def text_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, words: int = WORDS
) -> list[str]:
    """Lines of a table for a terminal: words left, numbers right, a rule below the header.

    Args:
        header: of the columns.
        rows: of the table, each as long as the header.
        words: how many columns, from the left, hold words.

    Example:
        >>> rows = [["x", "yy", "z", "1.0"], ["longer", "y", "z", "10.0"]]
        >>> print("\\n".join(text_table(["a", "b", "c", "d"], rows)))
        a       b   c     d
        ------  --  -  ----
        x       yy  z   1.0
        longer  y   z  10.0
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * width for width in widths], *rows]
    return [
        "  ".join(_aligned(i < words, cell, widths[i]) for i, cell in enumerate(line)).rstrip()
        for line in lines
    ]


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; a cell cannot break out of its column.

    Example:
        >>> markdown_table(["a", "b", "c", "d"], [["x|y", "", "", "1.0"]])
        ['| a | b | c | d |', '| --- | --- | --- | ---: |', '| x\\\\|y |  |  | 1.0 |']
    """
    rule = ["---" if i < WORDS else "---:" for i in range(len(header))]
    cells = [
        [cell.replace("|", "\\|").replace("\n", " ") for cell in line]
        for line in (header, rule, *rows)
    ]
    return [f"| {' | '.join(line)} |" for line in cells]


def latex_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a LaTeX ``tabular`` with the rules of the package booktabs.

    Example:
        >>> print("\\n".join(latex_table(["a_b", "", "", "%"], [["x", "", "", "1.0 ± 0.1"]])))
        \\begin{tabular}{lllr}
        \\toprule
        a\\_b &  &  & \\% \\\\
        \\midrule
        x &  &  & 1.0 $\\pm$ 0.1 \\\\
        \\bottomrule
        \\end{tabular}
    """
    columns = "".join("l" if i < WORDS else "r" for i in range(len(header)))
    title, *lines = [" & ".join(map(latex, line)) + r" \\" for line in (header, *rows)]
    begin = f"\\begin{{tabular}}{{{columns}}}"
    return [begin, r"\toprule", title, r"\midrule", *lines, r"\bottomrule", r"\end{tabular}"]


def latex(text: str) -> str:
    """Text as LaTeX prints it."""
    return re.sub(".", lambda letter: LATEX.get(letter[0], letter[0]), " ".join(text.split("\n")))


def _aligned(word: bool, cell: str, width: int) -> str:
    return cell.ljust(width) if word else cell.rjust(width)
