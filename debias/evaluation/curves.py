"""What a report draws: how an effect runs over targets, confidence or the spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from debias.metrics.accuracy.counts import margin_counts
from debias.metrics.amplification.counts import co_occurrences, frequency_co_occurrence
from debias.metrics.amplification.formulas import attribute_to_task
from debias.metrics.scores.report import reliability_rows
from debias.reports.predictions import Predictions
from debias.types import Groups


def amplification_curve(
    predictions: Predictions, groups: Groups, train: Tensor | None
) -> dict[str, Any]:
    """Directional amplification of each pair: targets, biases, ``change`` (or None)."""
    counts = margin_counts(
        predictions.prediction(groups), predictions.target, predictions.bias, groups
    )
    test = co_occurrences(counts, groups)
    base = test.labels if train is None else frequency_co_occurrence(train, groups)
    change = attribute_to_task(test.predicted_task, test.labels, base)
    names = groups.target_names[1::2] if groups.multi_label else groups.target_names
    return {"targets": list(names), "biases": list(groups.bias_names), "change": change.tolist()}


def reliability_curve(predictions: Predictions, groups: Groups) -> list[dict[str, object]]:
    """Confidence against accuracy, by bias value; rows as of :func:`reliability_rows`."""
    return reliability_rows(
        probabilities(predictions, groups), predictions.target, predictions.bias, groups
    )


def band_pass_curve(scalars: Mapping[str, float]) -> dict[str, list[float]]:
    """Accuracy over the cutoffs of both filters, from the scalars ``KIND/accuracy/CUTOFF``."""
    kinds = ("low_pass", "high_pass")
    keys = [key.rpartition("/") for key in scalars if key.startswith(f"{kinds[0]}/accuracy/")]
    cutoffs = [cutoff for _, _, cutoff in keys if cutoff != "clean"]
    curves = {kind: [scalars[f"{kind}/accuracy/{cutoff}"] for cutoff in cutoffs] for kind in kinds}
    return {"cutoffs": list(map(float, cutoffs)), **curves}


def probabilities(predictions: Predictions, groups: Groups) -> Tensor:
    """``(N, outputs)`` float64 probabilities of the classes or labels."""
    logits = predictions.logits.to(torch.float64)
    return logits.sigmoid() if groups.multi_label else logits.softmax(dim=1)
