"""What a slice shows, in words: those of captions, or properties that differ from its class."""

import numpy as np
from numpy.typing import NDArray

from debias.audits.rows.source_columns import source_columns
from debias.audits.slices.words import property_gaps, slice_words
from debias.audits.steps import Audited
from debias.data.examples import Examples

#: Columns of a table that hold words of an image.
CAPTIONS = ("caption", "captions", "tags")
#: Least score of a word, least difference of a property in standard deviations, and most of either.
LEAST_SCORE, LEAST_EFFECT, MOST = 2.0, 0.5, 2
#: Weight from which on an image is one of the slice.
MEMBER = 0.5


def described_slice(
    audited: Audited, rows: NDArray[np.int64], weight: NDArray[np.float64], target: int
) -> str:
    """Words for a slice, such as ``"; brightness 0.21 against 0.47"``; empty without any.

    Args:
        audited: the images.
        rows: ``(V,)`` positions of images.
        weight: ``(V,)`` weight of these images in the slice.
        target: class of the slice. The slice is compared with other images of this class.
    """
    own = audited.target[rows] == target
    positions, inside = rows[own], weight[own] > MEMBER
    if not inside.any() or inside.all():
        return ""
    captions = read_captions(audited.examples)
    if captions:
        texts = [captions[row] for row in audited.rows[positions].tolist()]
        words = [word for word in slice_words(texts, inside)[:MOST] if word.score >= LEAST_SCORE]
        if words:
            return "; words: " + ", ".join(word.word for word in words)
    columns = {name: column[positions] for name, column in known_properties(audited).items()}
    gaps = [gap for gap in property_gaps(columns, inside)[:MOST] if abs(gap.effect) >= LEAST_EFFECT]
    return "".join(f"; {gap.name} {gap.inside:.2g} against {gap.outside:.2g}" for gap in gaps)


def known_properties(audited: Audited) -> dict[str, NDArray[np.float64]]:
    """``(N,)`` numbers of the images by name, as far as earlier steps measured them."""
    found = audited.found.get("pixels", {})
    if "seen numbers" not in found:
        return {}
    table = found["seen numbers"].astype(np.float64)
    return {str(name): table[:, place] for place, name in enumerate(found["seen names"])}


def read_captions(examples: Examples) -> tuple[str, ...]:
    """The captions or tags of all rows, from the table that the rows were read from.

    Empty if the source has no column of ``CAPTIONS``; see
    :func:`~debias.audits.rows.source_columns.source_columns`.
    """
    columns = source_columns(examples)
    return next((columns[name] for name in CAPTIONS if name in columns), ())
