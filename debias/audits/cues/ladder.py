"""The cue ladder as a step: every rung is measured and compared with the others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from debias.audits.cues.encoder import (
    encoded_rows,
    feature_step,
    reason_against,
    rung_numbers,
)
from debias.audits.cues.probing import (
    FOLDS,
    CueProbe,
    Measured,
    auroc_p_value,
    balanced_accuracy,
    cross_fitted,
    fitted_probe,
    macro_auroc,
    principal_space,
    recovered_interval,
    unit_folds,
)
from debias.audits.cues.rungs import CEILINGS, RUNGS, Rung
from debias.audits.cues.strata import explained_by, stratified_auroc
from debias.audits.cues.units import audited_units, one_unit
from debias.audits.steps import Arrays, Audited
from debias.audits.strengths import strength
from debias.metrics.accuracy.significance import holm

#: Name of the step.
CUES = "cues"
#: Largest p-value, adjusted for the number of rungs, of a cue that tells the class.
LEVEL = 0.05


class MeasuredCue(NamedTuple):
    """What was measured of one rung.

    Attributes:
        name: key of ``RUNGS``.
        auroc: mean AUROC of the classes on held-out images.
        accuracy: balanced accuracy on held-out images.
        recovered: share of what the whole image tells that the cue tells too.
        p_value: of the AUROC, adjusted by Holm's method over the rungs.
        scores: ``(M, C)`` held-out probabilities of the judged images.
        explained_by: name of the cue that explains it; empty if it stands for itself.
        inside: its AUROC inside the strata of that cue; NaN if there is none.
    """

    name: str
    auroc: Measured
    accuracy: float
    recovered: Measured
    p_value: float
    scores: NDArray[np.float64]
    explained_by: str
    inside: float

    @property
    def rung(self) -> Rung:
        """The rung of the ladder."""
        return RUNGS[self.name]

    @property
    def title(self) -> str:
        """Its name for a reader."""
        return self.name.replace("_", " ")

    @property
    def strength(self) -> str:
        """How much of the class the cue tells: "strong", "some" or "none found"."""
        return strength(self.auroc.value, self.p_value, level=LEVEL)


def probe_step(name: str) -> str:
    """Name of the step that keeps the probe of a rung."""
    return f"probe of {name}"


def rung_probe(name: str, audited: Audited) -> Arrays:
    """Held-out scores of a rung, their AUROC, and its probe; nothing if it cannot be measured."""
    if reason_against(name, audited) or one_unit(audited):
        return {}
    target, classes = audited.target[audited.judged], len(audited.classes)
    fold, numbers = judged_folds(audited), judged_numbers(audited, name)
    whole = principal_space(numbers)
    shared = None if whole.directions is None else whole  # the directions are the slow part
    scores = cross_fitted(numbers, target, fold, classes=classes, space=shared)
    probe = fitted_probe(numbers, target, classes=classes, space=whole)
    auroc = np.array(macro_auroc(scores, target, seed=audited.seed))
    return {"scores": scores, "auroc": auroc, **probe._asdict()}


def measure(audited: Audited) -> Arrays:
    """Compare the probes of all rungs that can be measured; see :func:`measured_cues`."""
    names = [name for name in RUNGS if not reason_against(name, audited)]
    target = audited.target[audited.judged]
    probes = [audited.found.get(probe_step(name)) or rung_probe(name, audited) for name in names]
    scores = [np.asarray(probe["scores"], np.float64) for probe in probes]
    aurocs = np.stack([probe["auroc"] for probe in probes])
    unit = audited_units(audited)[audited.judged]
    arrays = _estimates(names, scores, target, unit, audited.seed) | {"auroc": aurocs}
    kept = {
        f"{part} {name}": probe[part]
        for name, probe in zip(names, probes, strict=True)
        for part in CueProbe._fields
    }
    own = [probe["weight"].shape[1] for probe in probes]
    shortcuts = [i for i, name in enumerate(names) if _candidate(name, i, arrays)]
    return {**arrays, **kept, **_explanations(scores, target, aurocs[:, 0], own, shortcuts)}


def judged_folds(audited: Audited) -> NDArray[np.int64]:
    """``(M,)`` fold of each judged image. Images of one unit share a fold."""
    target = audited.target[audited.judged]
    rank = np.random.default_rng(audited.seed).permutation(len(target))
    return unit_folds(audited_units(audited)[audited.judged], target, rank)


def judged_numbers(audited: Audited, name: str) -> NDArray[np.float32]:
    """``(M, d)`` numbers or features of a rung, for the judged images."""
    judged = audited.judged
    kept = audited.found.get(feature_step(name))
    if kept:
        place = np.searchsorted(encoded_rows(audited, name), judged)
        return np.asarray(kept["features"][place], np.float32)
    masks = None if audited.masks is None else audited.masks[judged]
    return rung_numbers(name, audited.pictures[judged], masks, audited.encoder)


def measured_cues(audited: Audited) -> list[MeasuredCue]:
    """The measured rungs, the whole image first, then by AUROC."""
    arrays = audited.found[CUES]
    names = arrays["names"].tolist()
    cues = [
        MeasuredCue(
            name,
            Measured(*arrays["auroc"][i].tolist()),
            float(arrays["accuracy"][i]),
            Measured(*arrays["recovered"][i].tolist()),
            float(arrays["p_value"][i]),
            arrays["scores"][i],
            names[arrays["explained_by"][i]] if arrays["explained_by"][i] >= 0 else "",
            float(arrays["inside"][i]),
        )
        for i, name in enumerate(names)
    ]
    whole = ceiling(names)
    return sorted(cues, key=lambda cue: (cue.name != whole, -cue.auroc.value))


def ceiling(names: list[str]) -> str:
    """The rung that stands for the whole image: the encoder's, or else the statistics."""
    return next(name for name in CEILINGS if name in names)


def probe_of(audited: Audited, name: str) -> CueProbe:
    """The probe of a rung that was fitted on all judged images."""
    arrays = audited.found[CUES]
    weight, bias = (np.asarray(arrays[f"{part} {name}"], np.float64) for part in CueProbe._fields)
    return CueProbe(weight, bias)


def _estimates(
    names: list[str],
    scores: list[NDArray[np.float64]],
    target: NDArray[np.int64],
    unit: NDArray[np.int64],
    seed: int,
) -> dict[str, NDArray[np.generic]]:
    full = scores[names.index(ceiling(names))]
    p_values = [auroc_p_value(one, target, folds=FOLDS, unit=unit) for one in scores]
    return {
        "names": np.array(names),
        "scores": np.stack(scores),
        "accuracy": np.array([balanced_accuracy(one, target) for one in scores]),
        "recovered": np.array([recovered_interval(one, full, target, seed=seed) for one in scores]),
        "p_value": holm(np.array(p_values, dtype=np.float32)),
    }


def _candidate(name: str, position: int, arrays: dict[str, NDArray[np.generic]]) -> bool:
    """Whether a rung may be a shortcut: it hides the object, and it tells the class."""
    significant = bool(arrays["p_value"][position] < LEVEL)
    return significant and not RUNGS[name].shows_object


def _explanations(
    scores: list[NDArray[np.float64]],
    target: NDArray[np.int64],
    areas: NDArray[np.generic],
    sizes: list[int],
    shortcuts: list[int],
) -> dict[str, NDArray[np.generic]]:
    """For each rung the position of the one that explains it, and its AUROC inside its strata."""
    found = explained_by(
        [scores[i] for i in shortcuts],
        target,
        areas=[float(areas[i]) for i in shortcuts],
        sizes=[sizes[i] for i in shortcuts],
    )
    by, inside = np.full(len(scores), -1), np.full(len(scores), np.nan)
    for place, other in zip(shortcuts, found, strict=True):
        if other >= 0:
            by[place] = shortcuts[other]
            inside[place] = stratified_auroc(scores[place], scores[by[place]], target)
    return {"explained_by": by, "inside": inside}
