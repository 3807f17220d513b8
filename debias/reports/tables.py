"""Tables of text: aligned for a terminal, or Markdown."""

from __future__ import annotations

from collections.abc import Sequence

#: Columns that hold words and are aligned to the left; the others hold numbers.
WORDS = 3


def spread(mean: float | None, deviation: float | None) -> str:
    """A mean and a standard deviation, fractions, in percent with one decimal; "-" where there is none.

    Example:
        >>> spread(0.712, 0.0149), spread(0.712, None), spread(None, None)
        ('71.2 ± 1.5', '71.2 ± -', '-')
    """
    if mean is None:
        return "-"
    return f"{100 * mean:.1f} ± " + ("-" if deviation is None else f"{100 * deviation:.1f}")


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table for a terminal: words to the left, numbers to the right, a rule below the header.

    Example:
        >>> print("\\n".join(text_table(["a", "b", "c", "d"], [["x", "yy", "z", "1.0"], ["longer", "y", "z", "10.0"]])))
        a       b   c     d
        ------  --  -  ----
        x       yy  z   1.0
        longer  y   z  10.0
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * width for width in widths], *rows]
    return ["  ".join(_aligned(i, cell, widths[i]) for i, cell in enumerate(line)).rstrip() for line in lines]


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; a cell cannot break out of its column.

    Example:
        >>> markdown_table(["a", "b", "c", "d"], [["x|y", "", "", "1.0"]])
        ['| a | b | c | d |', '| --- | --- | --- | ---: |', '| x\\\\|y |  |  | 1.0 |']
    """
    rule = ["---" if i < WORDS else "---:" for i in range(len(header))]
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in (header, rule, *rows)]
    return [f"| {' | '.join(line)} |" for line in cells]


def _aligned(column: int, cell: str, width: int) -> str:
    return cell.ljust(width) if column < WORDS else cell.rjust(width)
