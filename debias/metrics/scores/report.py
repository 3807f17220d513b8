"""The numbers of the family ``SCORES`` for a report, and the reliability curves."""

import torch
from torch import Tensor

from debias.metrics.accuracy.counts import check_facts, margin_counts
from debias.metrics.fairness.rates import outcome_names
from debias.metrics.scores.by_bias import (
    brier_scalars,
    calibration_scalars,
    f1_scalars,
    ranking_scalars,
)
from debias.metrics.scores.calibration import (
    by_bias,
    check_probabilities,
    decision_confidence,
    positive_confidence,
    reliability,
)
from debias.metrics.scores.family import OVERALL
from debias.types import Groups


def scores_report(
    probabilities: Tensor,
    target: Tensor,
    bias: Tensor,
    groups: Groups,
    *,
    bins: int = 15,
    prediction: Tensor | None = None,
    ranked: Tensor | None = None,
) -> dict[str, float]:
    """All numbers of the family ``SCORES``: over all images, and for each bias value.

    Args:
        probabilities: ``(N, classes)`` after softmax, or ``(N, L)`` after sigmoid, in [0, 1].
        target: ``(N,)`` integer class, or ``(N, L)`` 0/1 when multi-label.
        bias: ``(N,)`` integer in [0, biases), or -1 where unknown: such a sample counts only in the
            numbers over all images.
        groups: names and numbering of the groups.
        bins: number of bins of the calibration errors, of equal width.
        prediction: decisions, in the form of ``target``; ``None`` takes those of the probabilities.
        ranked: scores to rank by, in the form of ``probabilities``, such as :func:`log_odds`, which
            differ where probabilities round to 1. ``None`` ranks by the probabilities.

    Returns:
        The keys of the family ``SCORES`` as plain floats, NaN where undefined. Keys with
        ``worst_outcome_`` exist for three or more classes, or several labels; those of calibration
        for labels only. Keys with
        ``positive_``, the second convention of calibration, exist for two classes and for labels.
        If no bias is known, only the keys of ``OVERALL`` exist.

    Raises:
        ValueError: a shape, dtype or value is not as above.
    """
    if prediction is None:
        labels = groups.multi_label
        prediction = (probabilities > 0.5).long() if labels else probabilities.argmax(dim=1)
    scalars = f1_scalars(margin_counts(prediction, target, bias, groups), groups)
    scalars |= ranking_scalars(probabilities if ranked is None else ranked, target, bias, groups)
    scalars |= brier_scalars(probabilities, target, bias, groups)
    conventions = {"": decision_confidence}
    if groups.multi_label or groups.rows == 2:
        conventions["positive_"] = positive_confidence
    for prefix, convention in conventions.items():
        table = reliability(
            *convention(probabilities, target, groups), target, bias, groups, bins=bins
        )
        scalars |= calibration_scalars(table, groups, prefix=prefix)
    check_probabilities(probabilities)
    if not bool((bias >= 0).any()):
        scalars = {key: value for key, value in scalars.items() if key in OVERALL}
    else:
        scalars |= _sizes(bias, groups)
    return {key: float(value) for key, value in scalars.items()}


def _sizes(bias: Tensor, groups: Groups) -> dict[str, Tensor]:
    sizes = torch.bincount(bias[bias >= 0].long(), minlength=groups.biases)
    return {f"samples/{name}": size for name, size in zip(groups.bias_names, sizes, strict=True)}


def reliability_rows(
    probabilities: Tensor, target: Tensor, bias: Tensor, groups: Groups, *, bins: int = 15
) -> list[dict[str, object]]:
    """The reliability curve of each bias value; when multi-label, of each label and bias value.

    Args:
        probabilities, target, bias, groups, bins: as in ``scores_report``.

    Returns:
        One dictionary per curve, with the keys ``outcome``, ``bias``, ``samples``, ``confidence``
        and ``accuracy``. The last three are lists with one entry per bin; confidence and accuracy
        are ``None`` in empty bins. For classes, ``outcome`` is "" and the confidence is that of the
        decision. For labels, ``outcome`` is the label, the confidence is the probability that it is
        present, and the accuracy is how often it is. If no bias is known, ``bias`` is "all images".

    Raises:
        ValueError: a shape or a probability is not as above.
    """
    if not bool((bias >= 0).any()):
        bias, groups = torch.zeros_like(bias), groups.classes
    convention = positive_confidence if groups.multi_label else decision_confidence
    check_facts(target, bias, groups)
    check_probabilities(probabilities)
    table = reliability(*convention(probabilities, target, groups), target, bias, groups, bins=bins)
    samples, hits, confidence = by_bias(table, groups)
    curve = {
        "samples": samples,
        "confidence": confidence / samples,
        "accuracy": hits.double() / samples,
    }
    outcomes = outcome_names(groups) if groups.multi_label else ("",)
    return [
        {"outcome": outcome, "bias": bias_name}
        | {key: _plain(values[place, value]) for key, values in curve.items()}
        for place, outcome in enumerate(outcomes)
        for value, bias_name in enumerate(groups.bias_names)
    ]


def _plain(values: Tensor) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]
