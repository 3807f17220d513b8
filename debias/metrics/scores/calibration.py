"""Whether probabilities mean what they say, in each group: bins, and errors from them."""

from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError
from debias.types import Groups


class Reliability(NamedTuple):
    """Sums over the samples of each bin, of one shape ``(..., bins)``; groups add up.

    Attributes:
        samples: int64, how many.
        hits: int64, how many of them were right, or positive.
        confidence: float64, sum of the probabilities that were stated.
    """

    samples: Tensor
    hits: Tensor
    confidence: Tensor


def decision_confidence(
    probabilities: Tensor, target: Tensor, groups: Groups
) -> tuple[Tensor, Tensor]:
    """Probability of what was chosen, and whether that was right: one of two binary conventions,
    and that of classes.

    Args:
        probabilities: ``(N, classes)``, or ``(N, L)`` of the labels being present, in [0, 1].
        target: ``(N,)`` integer class, or ``(N, L)`` 0/1 when multi-label.
        groups: names and numbering of the groups.

    Returns:
        Confidence and bool hit, of the shape of ``target``.
    """
    if groups.multi_label:
        return (
            torch.maximum(probabilities, 1 - probabilities),
            (probabilities > 0.5) == target.bool(),
        )
    confidence, chosen = probabilities.max(dim=1)
    return confidence, chosen == target


def positive_confidence(
    probabilities: Tensor, target: Tensor, groups: Groups
) -> tuple[Tensor, Tensor]:
    """Probability of the positive class and whether it is true: the other binary convention.

    Args:
        probabilities, target, groups: as in ``decision_confidence``, with two classes or several
            labels.

    Returns:
        Confidence and bool hit, of the shape of ``target``.

    Raises:
        ValueError: three classes or more have no positive one.
    """
    if groups.multi_label:
        return probabilities, target.bool()
    if groups.rows != 2:
        raise InputError(f"{groups.rows} classes have no positive one: use decision_confidence")
    return probabilities[:, 1], target == 1


def reliability(
    confidence: Tensor, hit: Tensor, target: Tensor, bias: Tensor, groups: Groups, *, bins: int = 15
) -> Reliability:
    """Sort stated probabilities into equal bins of [0, 1], by target row and bias.

    A probability on the edge between two bins goes to the upper one, 1 to the last.

    Args:
        confidence: float in [0, 1], of the shape of ``target``.
        hit: bool, of the shape of ``target``.
        target: ``(N,)`` integer class in [0, rows), or ``(N, L)`` 0/1 when multi-label.
        bias: ``(N,)`` integer in [0, biases), or -1 where unknown.
        groups: names and numbering of the groups.
        bins: how many, of equal width.

    Returns:
        ``(rows, biases + 1, bins)`` each; samples of unknown bias are in the last slot. Values out
        of range are clamped into the table, so that the device is not waited for: check them where
        it is read.
    """
    slots, confidence = (
        groups.biases + 1,
        confidence if confidence.dtype == torch.float64 else confidence.float(),
    )
    # edges in the dtype of the probabilities, so that 0.7 is on the edge 7/10 in either
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
    """``(1, biases, bins)``, or ``(labels, biases, bins)``: the table without target rows."""
    rows_each = 2 if groups.multi_label else groups.rows
    known = [part[:, :-1] for part in table]
    return Reliability(*(part.reshape(-1, rows_each, *part.shape[1:]).sum(dim=1) for part in known))


def by_group(table: Reliability) -> Reliability:
    """``(groups, bins)``, in the order of ``Groups.encode``."""
    return Reliability(*(part[:, :-1].flatten(0, 1) for part in table))


def check_probabilities(probabilities: Tensor) -> None:
    """Refuse probabilities that are outside [0, 1] or NaN; waits for the device."""
    if not probabilities.numel():  # nothing has no least value
        return
    least, greatest = (end.item() for end in probabilities.aminmax())
    if not (least >= 0 and greatest <= 1):
        raise InputError(
            f"probabilities run from {least} to {greatest}, outside [0, 1]: apply softmax, or "
            "sigmoid when multi-label, to the logits"
        )


def expected_calibration_error(table: Reliability) -> Tensor:
    r"""Mean distance between confidence and accuracy over the bins, by how many samples they hold.

    .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{n} |\mathrm{acc}_b - \mathrm{conf}_b|

    Source: Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI
    2015; Guo et al., ICML 2017. As torchmetrics (norm ``l1``) and netcal.

    Args:
        table: ``(..., bins)``.

    Returns:
        ``(...)`` float64 in [0, 1], 0 ideal; NaN for an empty group. Small groups inflate it: read
        it with their size.
    """
    return (table.hits - table.confidence).abs().sum(dim=-1) / table.samples.sum(dim=-1)


def maximum_calibration_error(table: Reliability) -> Tensor:
    """Greatest distance of confidence and accuracy over the bins with samples; else as above."""
    distance = (table.hits - table.confidence).abs() / table.samples
    return torch.where(table.samples.sum(dim=-1) > 0, distance.nan_to_num().amax(dim=-1), torch.nan)
