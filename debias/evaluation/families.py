"""For each family of measures: how it is computed, and its conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from debias.errors import InputError
from debias.evaluation.altered import altered_scalars
from debias.evaluation.attacked import attacked_scalars
from debias.evaluation.attacks import counted_attacks
from debias.evaluation.evidence import Evidence, probabilities_of
from debias.evaluation.looking import attention_scalars, band_pass_scalars, maps_missing
from debias.evaluation.predictions import features_of
from debias.evaluation.recombined import background_scalars, placement_scalars
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
from debias.metrics.leakage.variance import variance_report
from debias.metrics.scores.report import scores_report
from debias.metrics.shortcuts.context import biased_pairs, context_report
from debias.metrics.shortcuts.cue_preference import has_cues, preference_report
from debias.metrics.shortcuts.made_sets import (
    cue_conflict_report,
    cues_are_classes,
    variant_report,
)
from debias.metrics.shortcuts.preferences import shortcut_report
from debias.metrics.shortcuts.uncommon import uncommon_report
from debias.types import ContextPair

Scalars = dict[str, float]

#: Most classes or labels for which the family "scores" sorts all images.
MOST_RANKED = 1000


def _amplified(evidence: Evidence, prediction: Tensor) -> Scalars:
    facts = (prediction, *evidence.facts[1:])
    scalars = amplification_report(*facts, train_frequencies=evidence.train)
    if evidence.parts is None or not evidence.groups.multi_label:
        return scalars
    examples = evidence.parts.examples
    rows = examples.rows("train")
    bias = examples.bias[rows]
    if evidence.attribute is not None:
        bias = examples.groups.decode(bias)[:, evidence.attribute]
    return scalars | multi_attribute_report(
        *facts, train_target=examples.target[rows], train_bias=bias
    )


def _thresholds(evidence: Evidence) -> Scalars:
    rows, others = evidence.predictions, evidence.elsewhere
    assert others is not None
    # chosen on logits, because sigmoid may round different logits to the same probability
    chosen = label_thresholds(others.logits, others.target)
    names = (f"threshold/{label}" for label in evidence.groups.label_names)
    scalars = _amplified(evidence, above(rows.logits, chosen))
    return dict(zip(names, chosen.double().sigmoid().tolist(), strict=True)) | scalars


def _context(evidence: Evidence) -> Scalars:
    groups, rows, others = evidence.groups, evidence.predictions, evidence.elsewhere
    pairs: Sequence[ContextPair] = groups.contexts
    if not pairs:
        assert others is not None
        pairs = biased_pairs(probabilities_of(others, groups), others.target)
    return context_report(evidence.probabilities, rows.target, pairs, groups.label_names)


def _uncommon(evidence: Evidence) -> Scalars:
    assert evidence.train is not None
    return uncommon_report(*evidence.facts, evidence.train)


def _scores(evidence: Evidence) -> Scalars:
    if (outputs := evidence.groups.outputs) > MOST_RANKED:
        raise InputError(
            f"they sort all images for each of {outputs:,} classes, more than {MOST_RANKED:,}"
        )
    ordered = evidence.positive_last
    decided, target, bias, groups = evidence.facts_positive_last
    return scores_report(
        *(ordered.probabilities, target, bias, groups),
        prediction=decided,
        ranked=ordered.ranked,
    )


def _leakage(evidence: Evidence) -> Scalars:
    with counted_attacks("measuring leakage") as attacker:
        return leakage_report(evidence.predictions.logits, *evidence.facts[1:], attacker=attacker)


def _features(evidence: Evidence) -> Scalars:
    kept = [] if evidence.kept is None else evidence.kept
    if not kept:
        kept.append(features_of(evidence.run, evidence.split, progress=evidence.progress))
    features, rows = kept[0], evidence.predictions
    with counted_attacks("measuring features") as attacker:
        leaked = feature_leakage_report(features, rows.bias, rows.target, attacker=attacker)
    spread = variance_report(features, rows.bias, rows.target)
    return leaked | probe_report(features, rows.bias) | spread


def _of_run(measure: Callable[..., Scalars]) -> Callable[[Evidence], Scalars]:
    """Wrap a measure that needs the run's model, as a function of the evidence."""
    return lambda evidence: measure(evidence.run, evidence.split, progress=evidence.progress)


def _bias_is_known(evidence: Evidence) -> str:
    bias = evidence.predictions.bias
    count = len(torch.unique(bias[bias >= 0]))
    reason = f"it compares two or more bias values, and the images have {count} known"
    return "" if count > 1 else reason


def _masks_are_there(evidence: Evidence) -> str:
    masks, rows = evidence.run.examples.masks, evidence.run.examples.rows(evidence.split).tolist()
    if masks and all(masks[row] for row in rows):
        return ""
    return f"not every {evidence.split} image has a foreground mask: see `debias masks`"


def _unless(holds: Callable[[Evidence], object], reason: str) -> Callable[[Evidence], str]:
    return lambda evidence: "" if holds(evidence) else reason


#: Name of each condition to its check, which returns why it fails, or an empty text if it holds.
CONDITIONS: Mapping[str, Callable[[Evidence], str]] = {
    "bias": _bias_is_known,
    "scores": _unless(lambda case: case.scored, "the predictions hold decisions and no scores"),
    "one label": _unless(lambda case: not case.groups.multi_label, "images have several labels"),
    "labels": _unless(lambda case: case.groups.multi_label, "images have one label each"),
    "elsewhere": _unless(
        lambda case: case.elsewhere, "it needs predictions of other images, to choose on"
    ),
    "contexts": _unless(
        lambda case: case.groups.contexts or case.elsewhere,
        "it needs predictions of other images, to choose pairs of labels on",
    ),
    "aligned": _unless(
        lambda case: case.groups.aligned, "the data set does not define which groups are aligned"
    ),
    "cues": _unless(
        lambda case: cues_are_classes(case.groups),
        "the bias values do not have the names of classes, as those of a cue conflict do",
    ),
    "several cues": _unless(
        lambda case: has_cues(case.groups),
        "it needs data.aligned, in which each value of a shortcut belongs to one class",
    ),
    "training groups": _unless(
        lambda case: case.train is not None, "the bias of no training image is known"
    ),
    "run": _unless(lambda case: case.parts, "it needs the model, and there are only predictions"),
    "masks": _masks_are_there,
    "maps": lambda evidence: maps_missing(evidence.run),
}

#: Name of each family of ``debias.metrics.families`` to the function that computes its scalars.
MEASURES: Mapping[str, Callable[[Evidence], Scalars]] = {
    "fairness": lambda evidence: fairness_report(*evidence.facts_positive_last),
    "amplification": lambda evidence: _amplified(evidence, evidence.facts[0]),
    "thresholds": _thresholds,
    "scores": _scores,
    "information": lambda evidence: information_report(*evidence.facts),
    "errors": lambda evidence: discovery_report(*evidence.facts),
    "shortcuts": lambda evidence: shortcut_report(*evidence.facts, evidence.train),
    "cues": lambda evidence: cue_conflict_report(*evidence.facts),
    "preference": lambda evidence: preference_report(*evidence.facts),
    "uncommon": _uncommon,
    "variants": lambda evidence: variant_report(*evidence.facts),
    "context": _context,
    "leakage": _leakage,
    "features": _features,
    "background": _of_run(background_scalars),
    "placement": _of_run(placement_scalars),
    "attention": _of_run(attention_scalars),
    "frequency": _of_run(band_pass_scalars),
    "altered": _of_run(altered_scalars),
    "attacked": _of_run(attacked_scalars),
}
