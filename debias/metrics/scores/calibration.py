"""Calibration of each group: counts in bins of confidence, and calibration errors from them."""

from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError
from debias.types import Groups


class Reliability(NamedTuple):
    """Sums over the samples of each bin of confidence, three tensors of shape ``(..., bins)``.

    Sums of several groups can be added.

    Attributes:
        samples: int64, number of samples.
        hits: int64, number of samples that were right, or positive.
        confidence: float64, sum of the predicted probabilities.
    """

    samples: Tensor
    hits: Tensor
    confidence: Tensor


def decision_confidence(
    probabilities: Tensor, target: Tensor, groups: Groups
) -> tuple[Tensor, Tensor]:
    """Confidence of each decision: the probability of the decision, and whether it was right.

    :func:`positive_confidence` is the other convention, for two classes or several labels.

    Args:
        probabilities: ``(N, classes)`` in [0, 1]. With several labels ``(N, L)``, the probability
            that each is present.
        target: ``(N,)`` integer class, or ``(N, L)`` 0/1 when multi-label.
        groups: names and numbering of the groups.

    Returns:
        The confidence, and a bool that is true if the decision was right; both of the shape of
        ``target``.
    """
    if groups.multi_label:
        return (
            torch.maximum(probabilities, 1 - probabilities),
            (probabilities > 0.5) == target.bool(),
        )
    confidence, decision = probabilities.max(dim=1)
    return confidence, decision == target


def positive_confidence(
    probabilities: Tensor, target: Tensor, groups: Groups
) -> tuple[Tensor, Tensor]:
    """Confidence of the positive class: its probability, and whether it is the true class.

    :func:`decision_confidence` is the other convention, for any number of classes.

    Args:
        probabilities, target, groups: as in ``decision_confidence``, with two classes or several
            labels.

    Returns:
        The confidence, and a bool that is true if the positive class is the true one; both of the
        shape of ``target``.

    Raises:
        ValueError: there are three classes or more, so none is positive.
    """
    if groups.multi_label:
        return probabilities, target.bool()
    if groups.rows != 2:
        raise InputError(
            f"{groups.rows} classes have no positive one: use decision_confidence instead"
        )
    return probabilities[:, 1], target == 1


def reliability(
    confidence: Tensor, hit: Tensor, target: Tensor, bias: Tensor, groups: Groups, *, bins: int = 15
) -> Reliability:
    """Count predicted probabilities in equal bins of [0, 1], for each target row and bias value.

    A probability on the edge between two bins counts in the upper one, 1 in the last.

    Args:
        confidence: float in [0, 1], of the shape of ``target``: the probabilities to count.
        hit: bool, of the shape of ``target``: whether each predicted event was true.
        target: ``(N,)`` integer class in [0, rows), or ``(N, L)`` 0/1 when multi-label.
        bias: ``(N,)`` integer in [0, biases), or -1 where unknown.
        groups: names and numbering of the groups.
        bins: number of bins, of equal width.

    Returns:
        Sums of shape ``(rows, biases + 1, bins)``; the last bias slot is for samples of unknown
        bias. Values out of range are clamped instead of checked, since a check would synchronise
        with the device. Check them where the table is used.
    """
    slots, confidence = (
        groups.biases + 1,
        confidence if confidence.dtype == torch.float64 else confidence.float(),
    )
    # edges in the dtype of the probabilities, so that 0.7 lies on the edge 7/10 in any dtype
    edges = torch.arange(1, bins, dtype=confidence.dtype, device=confidence.device) / bins
    place = torch.bucketize(confidence.contiguous(), edges, right=True)
    slot = bias.long().clamp(-1, groups.biases - 1).remainder(slots)
    row = groups.row(target.long().clamp(0, 1 if groups.multi_label else groups.rows - 1))
    cell = (row * slots + slot.reshape(slot.shape + (1,) * (target.ndim - 1))) * bins + place
    cell, shape = cell.flatten(), (groups.rows, slots, bins)
    sums = [
        torch.zeros(groups.rows * slots * bins, dtype=values.dtype, device=cell.device).index_add(
            0, cell, values
        )
        for values in (torch.ones_like(cell), hit.flatten().long(), confidence.flatten().double())
    ]
    return Reliability(*(part.view(shape) for part in sums))


def by_bias(table: Reliability, groups: Groups) -> Reliability:
    """Sum a table over targets: ``(1, biases, bins)``, or ``(labels, biases, bins)`` for labels."""
    rows_each = 2 if groups.multi_label else groups.rows
    known = [part[:, :-1] for part in table]
    return Reliability(*(part.reshape(-1, rows_each, *part.shape[1:]).sum(dim=1) for part in known))


def by_group(table: Reliability) -> Reliability:
    """A table as ``(groups, bins)``, in the order of ``Groups.encode``, without unknown bias."""
    return Reliability(*(part[:, :-1].flatten(0, 1) for part in table))


def check_probabilities(probabilities: Tensor) -> None:
    """Raise an error if a probability is outside [0, 1] or NaN; synchronises with the device.

    Raises:
        ValueError: a probability is outside [0, 1] or NaN.
    """
    if not probabilities.numel():  # aminmax of an empty tensor is an error
        return
    least, greatest = (end.item() for end in probabilities.aminmax())
    if not (least >= 0 and greatest <= 1):
        raise InputError(
            f"probabilities must lie in [0, 1]; got {least} to {greatest}, outside [0, 1]: apply "
            "softmax to the logits, or sigmoid when multi-label"
        )


def expected_calibration_error(table: Reliability) -> Tensor:
    r"""Mean distance between confidence and accuracy over the bins, weighted by their samples.

    .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{n} |\mathrm{acc}_b - \mathrm{conf}_b|

    Source: Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI
    2015; Guo et al., ICML 2017. As torchmetrics (norm ``l1``) and netcal.

    Args:
        table: sums of shape ``(..., bins)``.

    Returns:
        ``(...)`` float64 in [0, 1], 0 ideal; NaN for an empty group. It is biased upwards for small
        groups, so report the group sizes too.
    """
    return (table.hits - table.confidence).abs().sum(dim=-1) / table.samples.sum(dim=-1)


def maximum_calibration_error(table: Reliability) -> Tensor:
    """Greatest distance between confidence and accuracy over the bins that have samples.

    Arguments and result are those of :func:`expected_calibration_error`.
    """
    distance = (table.hits - table.confidence).abs() / table.samples
    return torch.where(table.samples.sum(dim=-1) > 0, distance.nan_to_num().amax(dim=-1), torch.nan)
