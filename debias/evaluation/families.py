"""How each family of measures is measured, on what conditions, and what is drawn of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from debias.evaluation.looking import attention_scalars, band_pass_scalars, maps_missing
from debias.evaluation.predictions import features_of
from debias.evaluation.recombined import background_scalars, placement_scalars
from debias.merging import Settings
from debias.metrics.accuracy.counts import margin_counts
from debias.metrics.amplification.counts import co_occurrences, frequency_co_occurrence
from debias.metrics.amplification.formulas import attribute_to_task
from debias.metrics.amplification.report import (
    above,
    amplification_report,
    label_thresholds,
    multi_attribute_report,
)
from debias.metrics.discovery.errors import discovery_report
from debias.metrics.discovery.information import information_report
from debias.metrics.fairness.rates import fairness_report
from debias.metrics.leakage.amplification import leakage_report
from debias.metrics.leakage.features import feature_leakage_report
from debias.metrics.leakage.probes import probe_report
from debias.metrics.scores.report import reliability_rows, scores_report
from debias.metrics.shortcuts.context import biased_pairs, context_report
from debias.metrics.shortcuts.preferences import shortcut_report
from debias.parts import Parts
from debias.reports.predictions import Predictions
from debias.types import Groups

Scalars = dict[str, float]


class Evidence(NamedTuple):
    """What there is to measure.

    Attributes:
        predictions: of one split.
        groups: their groups.
        train: ``(groups.count,)`` training samples of each group, or ``None``.
        parts: the run, its weights loaded, whose ``split`` was predicted; ``None`` for predictions
            of anybody's model.
        split: which.
        elsewhere: predictions of other images, on which pairs of labels are found; or ``None``.
        scored: whether the logits are a model's, and not only its decisions.
        progress: show progress bars.
        positive: which of two classes is the positive one; ``None`` is the second.
    """

    predictions: Predictions
    groups: Groups
    train: Tensor | None = None
    parts: Parts | None = None
    split: str = "test"
    elsewhere: Predictions | None = None
    scored: bool = True
    progress: bool = True
    positive: str | None = None

    @property
    def facts(self) -> tuple[Tensor, Tensor, Tensor, Groups]:
        """Prediction, target, bias and groups: what most measures are made of."""
        rows = self.predictions
        return rows.prediction(self.groups), rows.target, rows.bias, self.groups

    @property
    def probabilities(self) -> Tensor:
        """``(N, outputs)`` float64 probabilities of the classes or labels."""
        return _probabilities(self.predictions, self.groups)

    @property
    def positive_last(self) -> Evidence:
        """The same with the positive class as the second of two, where measures look for it."""
        groups, rows = self.groups, self.predictions
        if self.positive in (None, groups.target_names[-1]):
            return self
        turned = replace(rows, target=1 - rows.target, logits=rows.logits.flip(1))
        groups = Groups(groups.target_names[::-1], groups.bias_names)
        return self._replace(predictions=turned, groups=groups, positive=None)

    @property
    def run(self) -> Parts:
        """The run, for measures that are only taken where there is one."""
        assert self.parts is not None
        return self.parts


def _amplified(evidence: Evidence, prediction: Tensor) -> Scalars:
    facts = (prediction, *evidence.facts[1:])
    found = amplification_report(*facts, train_frequencies=evidence.train)
    if evidence.parts is None or not evidence.groups.multi_label:
        return found
    examples = evidence.parts.examples
    rows = examples.rows("train")
    return found | multi_attribute_report(
        *facts, train_target=examples.target[rows], train_bias=examples.bias[rows]
    )


def _thresholds(evidence: Evidence) -> Scalars:
    rows, others = evidence.predictions, evidence.elsewhere
    assert others is not None
    # chosen on logits, of which none are equal that sigmoid would round to the same probability
    chosen = label_thresholds(others.logits, others.target)
    names = (f"threshold/{label}" for label in evidence.groups.target_names[1::2])
    found = _amplified(evidence, above(rows.logits, chosen))
    return dict(zip(names, chosen.double().sigmoid().tolist(), strict=True)) | found


def _context(evidence: Evidence) -> Scalars:
    others = evidence.elsewhere
    assert others is not None
    pairs = biased_pairs(_probabilities(others, evidence.groups), others.target)
    return context_report(evidence.probabilities, evidence.predictions.target, pairs)


def _scores(evidence: Evidence) -> Scalars:
    turned = evidence.positive_last
    return scores_report(turned.probabilities, *turned.facts[1:])


def _leakage(evidence: Evidence) -> Scalars:
    return leakage_report(evidence.predictions.logits, *evidence.facts[1:])


def _features(evidence: Evidence) -> Scalars:
    features = features_of(evidence.run, evidence.split, progress=evidence.progress)
    rows = evidence.predictions
    return feature_leakage_report(features, rows.bias, rows.target) | probe_report(
        features, rows.bias
    )


def _of_run(measure: Callable[..., Scalars]) -> Callable[[Evidence], Scalars]:
    """A measure that asks the model itself."""
    return lambda evidence: measure(evidence.run, evidence.split, progress=evidence.progress)


def _bias_is_known(evidence: Evidence) -> str:
    bias = evidence.predictions.bias
    seen = len(torch.unique(bias[bias >= 0]))
    reason = f"it compares values of the bias attribute, and the images have {seen} known"
    return "" if seen > 1 else reason


def _masks_are_there(evidence: Evidence) -> str:
    masks, rows = evidence.run.examples.masks, evidence.run.examples.rows(evidence.split).tolist()
    if masks and all(masks[row] for row in rows):
        return ""
    return f"not every {evidence.split} image has a foreground mask: see `debias masks`"


def _unless(holds: Callable[[Evidence], object], reason: str) -> Callable[[Evidence], str]:
    return lambda evidence: "" if holds(evidence) else reason


#: Name to the reason why it does not hold; nothing where it does.
CONDITIONS: Mapping[str, Callable[[Evidence], str]] = {
    "bias": _bias_is_known,
    "scores": _unless(lambda case: case.scored, "the predictions hold decisions and no scores"),
    "one label": _unless(lambda case: not case.groups.multi_label, "images have several labels"),
    "labels": _unless(lambda case: case.groups.multi_label, "images have one label each"),
    "elsewhere": _unless(
        lambda case: case.elsewhere, "there are no predictions of other images to choose on"
    ),
    "aligned": _unless(
        lambda case: case.groups.aligned, "the data do not say what the shortcut leads to"
    ),
    "run": _unless(
        lambda case: case.parts, "it asks the model itself, and there are only predictions"
    ),
    "masks": _masks_are_there,
    "maps": lambda evidence: maps_missing(evidence.run),
}

#: How each family of ``debias.metrics.families`` is measured.
MEASURES: Mapping[str, Callable[[Evidence], Scalars]] = {
    "fairness": lambda evidence: fairness_report(*evidence.positive_last.facts),
    "amplification": lambda evidence: _amplified(evidence, evidence.facts[0]),
    "thresholds": _thresholds,
    "scores": _scores,
    "information": lambda evidence: information_report(*evidence.facts),
    "errors": lambda evidence: discovery_report(*evidence.facts),
    "shortcuts": lambda evidence: shortcut_report(*evidence.facts),
    "context": _context,
    "leakage": _leakage,
    "features": _features,
    "background": _of_run(background_scalars),
    "placement": _of_run(placement_scalars),
    "attention": _of_run(attention_scalars),
    "frequency": _of_run(band_pass_scalars),
}


def amplification_curve(evidence: Evidence, scalars: Scalars) -> Settings:
    """Directional amplification of each pair: targets, biases, ``change`` (or None)."""
    groups, train = evidence.groups, evidence.train
    test = co_occurrences(margin_counts(*evidence.facts), groups)
    base = test.labels if train is None else frequency_co_occurrence(train, groups)
    change = attribute_to_task(test.predicted_task, test.labels, base)
    names = groups.target_names[1::2] if groups.multi_label else groups.target_names
    return {"targets": list(names), "biases": list(groups.bias_names), "change": change.tolist()}


def reliability_curve(evidence: Evidence, scalars: Scalars) -> list[dict[str, object]]:
    """Confidence against accuracy, by bias value; rows as of :func:`reliability_rows`."""
    return reliability_rows(evidence.probabilities, *evidence.facts[1:])


def band_pass_curve(evidence: Evidence, scalars: Scalars) -> dict[str, list[float]]:
    """Accuracy over the cutoffs of both filters, from the scalars ``KIND/accuracy/CUTOFF``."""
    kinds = ("low_pass", "high_pass")
    keys = [key.rpartition("/") for key in scalars if key.startswith(f"{kinds[0]}/accuracy/")]
    cutoffs = [cutoff for _, _, cutoff in keys if cutoff != "clean"]
    curves = {kind: [scalars[f"{kind}/accuracy/{cutoff}"] for cutoff in cutoffs] for kind in kinds}
    return {"cutoffs": list(map(float, cutoffs)), **curves}


#: How the curve that a family names is made, from its evidence and its scalars.
CURVES: Mapping[str, Callable[[Evidence, Scalars], Any]] = {
    "amplification": amplification_curve,
    "reliability": reliability_curve,
    "band_pass": band_pass_curve,
}


def _probabilities(predictions: Predictions, groups: Groups) -> Tensor:
    logits = predictions.logits.to(torch.float64)
    return logits.sigmoid() if groups.multi_label else logits.softmax(dim=1)
