"""The families of measures that predictions, or also a run, allow; what each needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from debias.build import Parts
from debias.evaluation.curves import (
    amplification_curve,
    band_pass_curve,
    probabilities,
    reliability_curve,
)
from debias.evaluation.looking import attention_missing, attention_scalars, band_pass_scalars
from debias.evaluation.predictions import features_of
from debias.evaluation.recombined import background_scalars, placement_scalars
from debias.metrics.amplification.label_thresholds import above, label_thresholds
from debias.metrics.amplification.report import amplification_report, multi_attribute_report
from debias.metrics.discovery.errors import discovery_report
from debias.metrics.discovery.information import information_report
from debias.metrics.fairness.scalars import fairness_report
from debias.metrics.leakage.amplification import leakage_report
from debias.metrics.leakage.features import feature_leakage_report
from debias.metrics.leakage.probes import probe_report
from debias.metrics.scores.report import scores_report
from debias.metrics.shortcuts.context import biased_pairs, context_report
from debias.metrics.shortcuts.preferences import shortcut_report
from debias.reports.predictions import Predictions
from debias.types import Groups


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


class Family(NamedTuple):
    """How a family is measured, its conditions (keys of ``CONDITIONS``), and its drawing."""

    measure: Callable[[Evidence], dict[str, float]]
    needs: tuple[str, ...]
    curve: tuple[str, Callable[[Evidence, dict[str, float]], Any]] | None = None


def _amplification(evidence: Evidence) -> dict[str, float]:
    return _amplified(evidence, evidence.predictions.prediction(evidence.groups))


def _amplified(evidence: Evidence, prediction: Tensor) -> dict[str, float]:
    facts = (prediction, *evidence.facts[1:])
    found = amplification_report(*facts, train_frequencies=evidence.train)
    if evidence.parts is None or not evidence.groups.multi_label:
        return found
    examples = evidence.parts.examples
    rows = examples.rows("train")
    return found | multi_attribute_report(
        *facts, train_target=examples.target[rows], train_bias=examples.bias[rows]
    )


def _thresholds(evidence: Evidence) -> dict[str, float]:
    rows, others = evidence.predictions, evidence.elsewhere
    assert others is not None
    # chosen on logits, of which none are equal that sigmoid would round to the same probability
    chosen = label_thresholds(others.logits, others.target)
    names = (f"threshold/{label}" for label in evidence.groups.target_names[1::2])
    found = _amplified(evidence, above(rows.logits, chosen))
    return dict(zip(names, chosen.double().sigmoid().tolist(), strict=True)) | found


def _context(evidence: Evidence) -> dict[str, float]:
    rows, others, groups = evidence.predictions, evidence.elsewhere, evidence.groups
    assert others is not None
    pairs = biased_pairs(probabilities(others, groups), others.target)
    return context_report(probabilities(rows, groups), rows.target, pairs)


def _scores(evidence: Evidence) -> dict[str, float]:
    rows, groups = evidence.positive_last[:2]
    return scores_report(probabilities(rows, groups), rows.target, rows.bias, groups)


def _leakage(evidence: Evidence) -> dict[str, float]:
    rows = evidence.predictions
    return leakage_report(rows.logits, rows.target, rows.bias, evidence.groups)


def _features(evidence: Evidence) -> dict[str, float]:
    features = features_of(evidence.run, evidence.split, progress=evidence.progress)
    rows = evidence.predictions
    return feature_leakage_report(features, rows.bias, rows.target) | probe_report(
        features, rows.bias
    )


def _bias_is_known(evidence: Evidence) -> str:
    bias = evidence.predictions.bias
    seen = len(torch.unique(bias[bias >= 0]))
    return (
        ""
        if seen > 1
        else f"it compares values of the bias attribute, and the images have {seen} known"
    )


def _masks_are_there(evidence: Evidence) -> str:
    masks, rows = evidence.run.examples.masks, evidence.run.examples.rows(evidence.split).tolist()
    if masks and all(masks[row] for row in rows):
        return ""
    return f"not every {evidence.split} image has a foreground mask: see `debias masks`"


#: Name to the reason why it does not hold; nothing where it does.
CONDITIONS: Mapping[str, Callable[[Evidence], str]] = {
    "bias": _bias_is_known,
    "scores": lambda evidence: (
        "" if evidence.scored else "the predictions hold decisions and no scores"
    ),
    "one label": lambda evidence: (
        "images have several labels" if evidence.groups.multi_label else ""
    ),
    "labels": lambda evidence: "" if evidence.groups.multi_label else "images have one label each",
    "elsewhere": lambda evidence: (
        "" if evidence.elsewhere else "there are no predictions of other images to choose on"
    ),
    "aligned": lambda evidence: (
        "" if evidence.groups.aligned else "the data do not say what the shortcut leads to"
    ),
    "run": lambda evidence: (
        "" if evidence.parts else "it asks the model itself, and there are only predictions"
    ),
    "masks": _masks_are_there,
    "attention": lambda evidence: attention_missing(evidence.run),
}

FAMILIES: Mapping[str, Family] = {
    "fairness": Family(lambda evidence: fairness_report(*evidence.positive_last.facts), ("bias",)),
    "amplification": Family(
        _amplification,
        ("bias",),
        ("amplification", lambda e, scalars: amplification_curve(e.predictions, e.groups, e.train)),
    ),
    "thresholds": Family(_thresholds, ("labels", "bias", "scores", "elsewhere")),
    "scores": Family(
        _scores,
        ("scores",),
        (
            "reliability",
            lambda evidence, scalars: reliability_curve(evidence.predictions, evidence.groups),
        ),
    ),
    "information": Family(lambda evidence: information_report(*evidence.facts), ("bias",)),
    "errors": Family(
        lambda evidence: discovery_report(*evidence.facts), ("bias", "aligned", "one label")
    ),
    "shortcuts": Family(
        lambda evidence: shortcut_report(*evidence.facts), ("bias", "aligned", "one label")
    ),
    "context": Family(_context, ("labels", "scores", "elsewhere")),
    "leakage": Family(_leakage, ("bias", "scores")),
    "features": Family(_features, ("run", "bias")),
    "background": Family(
        lambda evidence: background_scalars(
            evidence.run, evidence.split, progress=evidence.progress
        ),
        ("run", "masks"),
    ),
    "placement": Family(
        lambda evidence: placement_scalars(
            evidence.run, evidence.split, progress=evidence.progress
        ),
        ("run", "masks"),
    ),
    "attention": Family(
        lambda evidence: attention_scalars(
            evidence.run, evidence.split, progress=evidence.progress
        ),
        ("run", "attention"),
    ),
    "frequency": Family(
        lambda evidence: band_pass_scalars(
            evidence.run, evidence.split, progress=evidence.progress
        ),
        ("run",),
        ("band_pass", lambda evidence, scalars: band_pass_curve(scalars)),
    ),
}

#: The families that take no model and next to no time: every training reports them.
QUICK_FAMILIES = (
    "fairness",
    "amplification",
    "thresholds",
    "scores",
    "information",
    "errors",
    "shortcuts",
    "context",
)
