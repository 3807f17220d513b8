"""Slices within each class, as groups for training."""

import numpy as np
from numpy.typing import NDArray

from debias.errors import check_at_least, check_one_of
from debias.group_inference.slices import (
    FoundSlices,
    PredictedImages,
    domino_slices,
    facts_slices,
)

#: The mixtures that find slices.
MIXTURES = ("facts", "domino")


def class_slices(
    fitted: PredictedImages,
    judged: PredictedImages,
    *,
    counted: NDArray[np.bool_],
    generator: np.random.Generator,
    mixture: str = "facts",
    components: int = 36,
    slices: int = 10,
    weight: float = 25.0,
    least: int = 10,
) -> NDArray[np.int64]:
    r"""Number the slices of each class: 0 for most of its images, then slices of likely errors.

    A mixture is fitted to each class. An image belongs to its most probable component. Components
    with at least ``least`` counted images are sorted by their gap, the excess of a predicted class
    over the true one. The first T are the slices 1 to T. All other images of the class have 0.

    .. math:: T = \min(\text{slices}, \min_y K_y - 1)

    with :math:`K_y` such components in class y. So each pair of class and number has an image, as
    Group DRO needs, and T is 0 if a class has a single component.

    Source: slices as in :func:`debias.group_inference.slices.facts_slices` and
    :func:`debias.group_inference.slices.domino_slices`. The numbers are a choice of debias.

    Args:
        fitted: images on which the mixtures are fitted, at least four of each class.
        judged: the images that get a number.
        counted: ``(M,)`` bool: the judged images that count for ``least``.
        generator: source of the starts.
        mixture: "facts" or "domino".
        components: components of each class, at most half of its fitted images.
        slices: largest T, at least 1.
        weight: weight of the predicted probabilities in the likelihood.
        least: fewest counted images of a slice, at least 1.

    Returns:
        ``(M,)`` int64 in [0, T].

    Raises:
        ValueError: ``mixture`` is unknown, ``slices`` or ``least`` is below 1, or a class has fewer
            than four fitted images.

    Differs from the reference: the authors of FACTS give each image to the most probable of its
    slices. If all of their probabilities round to 0, this is the first slice.
    """
    check_one_of(MIXTURES, {"mixture": mixture})
    check_at_least(1, {"slices": slices, "least": least})
    classes = np.unique(judged.target).tolist()
    component = np.zeros(len(judged), dtype=np.int64)
    ranked: dict[int, NDArray[np.int64]] = {}
    for one in classes:
        rows = np.flatnonzero(judged.target == one)
        pair = fitted.take(fitted.target == one), judged.take(rows)
        found = _found(*pair, generator, mixture, components, weight)
        component[rows] = found.memberships.argmax(axis=1)
        sizes = np.bincount(component[rows[counted[rows]]], minlength=len(found.gaps))
        ranked[one] = np.flatnonzero(sizes >= least)  # the gaps are in descending order
    most = max(min(slices, *(len(each) - 1 for each in ranked.values())), 0)
    numbers = np.zeros(len(judged), dtype=np.int64)
    for one in classes:
        for number, chosen in enumerate(ranked[one][:most].tolist(), start=1):
            numbers[(judged.target == one) & (component == chosen)] = number
    return numbers


def _found(
    fitted: PredictedImages,
    judged: PredictedImages,
    generator: np.random.Generator,
    mixture: str,
    components: int,
    weight: float,
) -> FoundSlices:
    """All components of the mixture of one class."""
    if mixture == "facts":
        return facts_slices(
            fitted, judged, generator=generator, slices=components, components=components,
            output_weight=weight,
        )  # fmt: skip
    return domino_slices(
        fitted, judged, generator=generator, slices=components, components=components,
        prediction_weight=weight,
    )  # fmt: skip
