"""Write tables of text: aligned for a terminal, as Markdown, or as LaTeX."""

import re
import statistics
from collections.abc import Sequence
from typing import NamedTuple

#: Number of columns with words, on the left of a table. The other columns hold numbers.
WORDS = 3

#: LaTeX code for characters that are commands in LaTeX, or that some fonts lack.
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
    """Mean and sample standard deviation of a number over runs, usually over seeds.

    Args:
        mean: mean over the runs that have the number; ``None`` if none has.
        deviation: standard deviation over the same runs; ``None`` with fewer than two.
        defined: how many runs have the number.
        runs: number of all runs.
    """

    mean: float | None
    deviation: float | None
    defined: int = 0
    runs: int = 0

    @property
    def text(self) -> str:
        """Mean ± deviation in percent with one decimal; "-" if undefined.

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
    """Compute mean and sample standard deviation of the values that are not ``None``.

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
    """List ascending numbers as text, with ranges for four or more consecutive ones.

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
    """Write the lines of a table for a terminal, with a rule below the header.

    Words are aligned to the left, and numbers to the right.

    Args:
        header: titles of the columns.
        rows: cells of the table; each row is as long as the header.
        words: number of columns with words, on the left.

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
    """Write the lines of a Markdown table. In cells, "|" is escaped, and line breaks are spaces.

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
    """Write the lines of a LaTeX ``tabular`` with the rules of the package booktabs.

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
    """Escape text for LaTeX, and replace line breaks by spaces."""
    return re.sub(".", lambda letter: LATEX.get(letter[0], letter[0]), " ".join(text.split("\n")))


def _aligned(word: bool, cell: str, width: int) -> str:
    return cell.ljust(width) if word else cell.rjust(width)
