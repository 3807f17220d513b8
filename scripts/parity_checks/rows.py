"""The result of a comparison, and the table of all results."""

from collections.abc import Sequence
from typing import NamedTuple

#: In place of a repository, where the authors published no code, or none that runs alone.
NO_CODE = "no official code: its definition, in float64"
HEADINGS = ("method", "official code", "compared", "largest difference", "bar", "")


class Row(NamedTuple):
    """One comparison.

    Attributes:
        method: of the package.
        source: repository, commit, path.
        compared: what of it, over which inputs.
        difference: the largest, as :func:`parity_checks.cases.apart` gives it.
        bar: the most it may be.
        because: why the bar is not that of float64.
    """

    method: str
    source: str
    compared: str
    difference: float
    bar: float
    because: str = ""

    @property
    def ok(self) -> bool:
        """Whether the difference keeps within the bar; one that is no number does not."""
        return self.difference <= self.bar

    def cells(self) -> tuple[str, ...]:
        """One text for each of ``HEADINGS``."""
        bar = f"{self.bar:.0e}" + (f" ({self.because})" if self.because else "")
        verdict = "ok" if self.ok else "DIFFERS"
        return (self.method, self.source, self.compared, f"{self.difference:.1e}", bar, verdict)


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a table."""
    lines = [HEADINGS, ("---",) * len(HEADINGS), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
