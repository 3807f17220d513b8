"""What an audit says: one finding per line, and the section of the page that shows it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: The first word of a line: what the finding is about.
KINDS = ("offered", "taken", "files", "duplicates", "splits", "labels", "slices", "maps", "groups")
#: Kinds of cues of the data, whose values are AUROCs. Their lines come first.
CUE_KINDS = ("offered", "files")
#: How much was found. A "warning" asks for a look at the images, whatever the strength.
STRENGTHS = ("strong", "some", "warning", "none found")


class AuditLine(NamedTuple):
    """One finding of an audit.

    Attributes:
        kind: one of ``KINDS``. "offered" is a fact of the data, "taken" one of a model.
        name: the cue, property or slice, such as "background" or "mean colour".
        strength: one of ``STRENGTHS``.
        words: one sentence, which a reader understands without the number.
        value: the number behind it, as a fraction of 1; ``None`` if there is none.
        low: lower end of its 95 % interval.
        high: upper end of its 95 % interval.
        chance: the value if there is nothing to find.
        measure: what ``value`` is, such as "balanced accuracy".
        images: number of images that it concerns.
        explained_by: name of a stronger cue. Inside the strata of this cue, ``name`` says nothing.
        rows: positions among the audited images that show it best, for the page.
    """

    kind: str
    name: str
    strength: str
    words: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    chance: float | None = None
    measure: str = ""
    images: int = 0
    explained_by: str = ""
    rows: tuple[int, ...] = ()


class ValueBar(NamedTuple):
    """One bar of a chart: a number with its interval, and a second number beside it.

    Attributes:
        name: what is measured.
        value: a fraction of 1.
        low: lower end of the interval.
        high: upper end of the interval.
        beside: another number of the same cue, such as how much a model takes of it.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    beside: float | None = None


class Strip(NamedTuple):
    """A row of pictures with a title.

    Attributes:
        title: what the pictures share.
        rows: positions among the audited images.
        captions: one text per picture, or none.
        pictures: ``(H, W, 3)`` uint8 pictures that are shown instead of those of ``rows``, such as
            pictures with a map over them.
    """

    title: str
    rows: tuple[int, ...]
    captions: tuple[str, ...] = ()
    pictures: tuple[NDArray[np.uint8], ...] = ()


class Section(NamedTuple):
    """One section of the page: a title, sentences, and what shows them. All but the title optional.

    Attributes:
        title: heading.
        text: sentences below it.
        chance: value of the line that is drawn through the bars.
        bars: bars, in the order in which they are drawn.
        header: names of the columns of the table.
        table: rows of the table, as text.
        strips: rows of pictures.
        effects: effect sizes in [-2, 2], which are drawn as points with their intervals.
    """

    title: str
    text: Sequence[str] = ()
    chance: float | None = None
    bars: Sequence[ValueBar] = ()
    header: Sequence[str] = ()
    table: Sequence[Sequence[str]] = ()
    strips: Sequence[Strip] = ()
    effects: Sequence[ValueBar] = ()
