"""The result of a comparison, and the table of all results."""

from collections.abc import Sequence
from typing import NamedTuple

#: In place of a repository, where the authors published no code, or none that runs alone.
NO_CODE = "no official code: its definition, in float64"
HEADINGS = ("method", "official code", "compared", "largest difference", "bar", "")


class Row(NamedTuple):
    """One comparison.

    Attributes:
        method: method of the package.
        source: repository, commit and path of the authors' code.
        compared: the compared quantities and inputs.
        difference: the largest difference, by :func:`parity_checks.cases.apart`.
        bar: largest allowed difference.
        because: reason of a bar above float64 precision.
    """

    method: str
    source: str
    compared: str
    difference: float
    bar: float
    because: str = ""

    @property
    def ok(self) -> bool:
        """Whether the difference is at most the bar; NaN is not."""
        return self.difference <= self.bar

    def cells(self) -> tuple[str, ...]:
        """One text per column of ``HEADINGS``."""
        bar = f"{self.bar:.0e}" + (f" ({self.because})" if self.because else "")
        verdict = "ok" if self.ok else "DIFFERS"
        return (self.method, self.source, self.compared, f"{self.difference:.1e}", bar, verdict)


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [HEADINGS, ("---",) * len(HEADINGS), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
