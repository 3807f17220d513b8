"""Numbers of whole images, and held-out predictions from them, for the audits of rows."""

import numpy as np
from numpy.typing import NDArray

from debias.audits.cues.encoder import feature_step
from debias.audits.cues.ladder import CUES, ceiling, probe_of
from debias.audits.cues.picture_numbers import layout, statistics
from debias.audits.steps import Audited

#: The rung of the whole image for a network, and the step that keeps its features.
IMAGE = "image"
IMAGE_FEATURES = feature_step(IMAGE)


def whole_image_numbers(audited: Audited) -> NDArray[np.float32]:
    """``(N, d)`` numbers of each image: features of the encoder, or those of :func:`plain_numbers`.

    A step that calls it has ``IMAGE_FEATURES`` in ``uses``.
    """
    return plain_numbers(audited) if audited.encoder is None else _encoded(audited)


def plain_numbers(audited: Audited) -> NDArray[np.float32]:
    """``(N, d)`` standardised numbers of each image, without a network: colours and 4x4 pixels."""
    numbers = np.hstack([statistics(audited.pictures), layout(audited.pictures)])
    spread = numbers.std(axis=0)
    return np.asarray((numbers - numbers.mean(axis=0)) / np.where(spread > 1e-9, spread, 1))


def _encoded(audited: Audited) -> NDArray[np.float32]:
    return audited.found[IMAGE_FEATURES]["features"].astype(np.float32)


def held_out_probabilities(audited: Audited) -> NDArray[np.float64]:
    """``(N, C)`` class probabilities of each image by a probe that did not learn from it.

    The probe of whole images is that of the step ``cues``: cross-fitted on the judged images, and
    fitted on all of them for the others.
    """
    arrays = audited.found[CUES]
    names = arrays["names"].tolist()
    name = ceiling(names)
    scores = np.zeros((len(audited.rows), len(audited.classes)))
    scores[audited.judged] = arrays["scores"][names.index(name)]
    others = np.setdiff1d(np.arange(len(audited.rows)), audited.judged)
    if len(others):
        numbers = _encoded(audited) if name == IMAGE else statistics(audited.pictures)
        scores[others] = probe_of(audited, name).scores(numbers[others])
    return scores
