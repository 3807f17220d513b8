"""Numbers of whole images, and held-out predictions from them, for the audits of rows."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from debias.audits.cues.encoder import IMAGE, STATISTICS, feature_step, rung_numbers
from debias.audits.cues.ladder import CUES, ceiling, judged_folds, probe_of
from debias.audits.cues.picture_numbers import layout
from debias.audits.cues.probing import CueProbe, fitted_probe, principal_space
from debias.audits.cues.units import audited_units
from debias.audits.steps import Audited

#: The steps that keep the numbers of whole images: features of a network, and statistics.
WHOLE_IMAGES = (feature_step(IMAGE), feature_step(STATISTICS))


def whole_image_numbers(audited: Audited) -> NDArray[np.float32]:
    """``(N, d)`` numbers of each image: features of the encoder, or those of :func:`plain_numbers`.

    A step that calls it has ``WHOLE_IMAGES`` as ``uses``, or needs the step ``cues``.
    """
    return plain_numbers(audited) if audited.encoder is None else _kept(audited, IMAGE)


def plain_numbers(audited: Audited) -> NDArray[np.float32]:
    """``(N, d)`` standardised numbers of each image, without a network: colours and 4x4 pixels."""
    numbers = np.hstack([_kept(audited, STATISTICS), layout(audited.pictures)])
    spread = numbers.std(axis=0)
    return np.asarray((numbers - numbers.mean(axis=0)) / np.where(spread > 1e-9, spread, 1))


def _kept(audited: Audited, rung: str) -> NDArray[np.float32]:
    kept = audited.found.get(feature_step(rung))
    if kept is None:
        return rung_numbers(rung, audited.pictures, None, audited.encoder)
    return kept["features"].astype(np.float32)


def held_out_probabilities(audited: Audited) -> NDArray[np.float64]:
    """``(N, C)`` class probabilities of each image by a probe that did not learn from its unit.

    The probe of whole images is that of the step ``cues``: cross-fitted on the judged images, and
    fitted on all of them for the others. Of the others, those whose unit has judged images get
    the probe without the fold of this unit.
    """
    arrays = audited.found[CUES]
    names = arrays["names"].tolist()
    name = ceiling(names)
    scores = np.zeros((len(audited.rows), len(audited.classes)))
    scores[audited.judged] = arrays["scores"][names.index(name)]
    others = np.setdiff1d(np.arange(len(audited.rows)), audited.judged)
    if len(others):
        numbers = _kept(audited, name)
        scores[others] = probe_of(audited, name).scores(numbers[others])
        for rows, probe in _probes_of_copies(audited, numbers, others):
            scores[rows] = probe.scores(numbers[rows])
    return scores


def _probes_of_copies(
    audited: Audited, numbers: NDArray[np.float32], others: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], CueProbe]]:
    """Images whose unit has judged images, by the fold of the unit, and a probe without it."""
    unit, judged, fold = audited_units(audited), audited.judged, judged_folds(audited)
    fold_of = dict(zip(unit[judged].tolist(), fold.tolist(), strict=True))
    left_out = np.array([fold_of.get(one, -1) for one in unit[others].tolist()])
    whole, classes = principal_space(numbers[judged]), len(audited.classes)
    space = None if whole.directions is None else whole  # as the cross-fitted probes have it
    for one in np.unique(left_out[left_out >= 0]):
        learned = judged[fold != one]
        target = audited.target[learned]
        probe = fitted_probe(numbers[learned], target, classes=classes, space=space)
        yield others[left_out == one], probe
