"""The predictions whose errors slices explain: those of the model, or of a probe."""

import numpy as np
from numpy.typing import NDArray

from debias.audits.cues.probing import unit_folds
from debias.audits.cues.units import audited_units
from debias.audits.drawing import taking_turns
from debias.audits.rows.whole_images import held_out_probabilities, whole_image_numbers
from debias.audits.steps import Audited
from debias.data.examples import SPLITS
from debias.group_inference.slices import PredictedImages

#: Fewest validation images in which slices are looked for; with fewer, the judged images are.
ENOUGH = 100
#: Most validation images that a model reads.
MOST = 2000


def sliced_rows(audited: Audited) -> NDArray[np.int64]:
    """``(V,)`` positions of the validation images, or of the judged images if these are few.

    A trained model has seen the training images, so that its errors are always those on validation.
    """
    if audited.model is not None:
        return validation_rows(audited, MOST)
    val = np.flatnonzero(audited.split == SPLITS.index("val"))
    return val if len(val) >= ENOUGH else audited.judged


def validation_rows(audited: Audited, most: int) -> NDArray[np.int64]:
    """``(V,)`` positions of at most ``most`` validation images, one of each class in turn."""
    val = np.flatnonzero(audited.split == SPLITS.index("val"))
    generator = np.random.default_rng([audited.seed, most])
    return val[taking_turns(audited.target[val], most, generator)]


def fitted_half(
    audited: Audited, rows: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.bool_]:
    """``(V,)`` bool: the half of some images on which slices are found; no unit is in both."""
    rank = generator.permutation(len(rows))
    folds = unit_folds(audited_units(audited)[rows], audited.target[rows], rank, folds=2)
    return np.asarray(folds == 0)


def predicted_images(audited: Audited, rows: NDArray[np.int64]) -> PredictedImages:
    """Features and held-out predictions of some images: of the model, or of a stand-in.

    Without a model, a probe of whole images stands in. It did not learn from the images.
    """
    target = audited.target[rows]
    if audited.model is not None:
        shown = audited.model.pictures(audited.examples, audited.rows[rows]).pictures
        features = audited.model.features(shown).astype(np.float64)
        return PredictedImages(features, target, audited.model.probabilities(shown))
    features = whole_image_numbers(audited)[rows].astype(np.float64)
    return PredictedImages(features, target, held_out_probabilities(audited)[rows])
