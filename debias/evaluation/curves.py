"""The curves and matrices that a report draws from the measures of a family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from debias.evaluation.evidence import Evidence
from debias.evaluation.families import Scalars
from debias.merging import Settings
from debias.metrics.accuracy.counts import margin_counts
from debias.metrics.amplification.counts import co_occurrences, frequency_co_occurrence
from debias.metrics.amplification.formulas import attribute_to_task
from debias.metrics.scores.report import reliability_rows


def amplification_curve(evidence: Evidence, scalars: Scalars) -> Settings:
    """Directional amplification of each pair of target and bias value.

    Returns:
        Names ``targets`` and ``biases``, and the matrix ``change`` of their pairs; NaN where
        undefined.
    """
    groups, train = evidence.groups, evidence.train
    test = co_occurrences(margin_counts(*evidence.facts), groups)
    base = test.labels if train is None else frequency_co_occurrence(train, groups)
    change = attribute_to_task(test.predicted_task, test.labels, base)
    names = groups.target_names[1::2] if groups.multi_label else groups.target_names
    return {"targets": list(names), "biases": list(groups.bias_names), "change": change.tolist()}


def reliability_curve(evidence: Evidence, scalars: Scalars) -> list[dict[str, object]]:
    """Confidence against accuracy for each bias value; rows as in :func:`reliability_rows`."""
    return reliability_rows(evidence.probabilities, *evidence.facts[1:])


def band_pass_curve(evidence: Evidence, scalars: Scalars) -> dict[str, list[float]]:
    """Accuracy at each cutoff of both filters, from the scalars ``KIND/accuracy/CUTOFF``."""
    kinds = ("low_pass", "high_pass")
    keys = [key.rpartition("/") for key in scalars if key.startswith(f"{kinds[0]}/accuracy/")]
    cutoffs = [cutoff for _, _, cutoff in keys if cutoff != "clean"]
    curves = {kind: [scalars[f"{kind}/accuracy/{cutoff}"] for cutoff in cutoffs] for kind in kinds}
    return {"cutoffs": list(map(float, cutoffs)), **curves}


#: Name of each curve to the function that makes it from the evidence and the family's scalars.
CURVES: Mapping[str, Callable[[Evidence, Scalars], Any]] = {
    "amplification": amplification_curve,
    "reliability": reliability_curve,
    "band_pass": band_pass_curve,
}
