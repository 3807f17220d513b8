"""Accuracy by the number of attributes of an image that are uncommon for its class."""

import torch
from torch import Tensor

from debias.errors import check_between
from debias.metrics.accuracy.scalars import accuracy
from debias.metrics.accuracy.uncertainty import wilson_interval
from debias.types import Groups

#: A value is uncommon if it has a smaller share of the training images of a class.
UNCOMMON = 0.1


def uncommon_values(
    target: Tensor, bias: Tensor, groups: Groups, train: Tensor, *, below: float = UNCOMMON
) -> Tensor:
    r"""How many attributes of each image have a value that is uncommon for its class.

    Value a of an attribute is uncommon for class y if :math:`P(a \mid y)` is below the bound in
    training.

    Source: the counts are those of FOCUS (Kattakinda and Feizi, ICML 2022; reference code
    priyathamkat/focus). There, people chose the uncommon values; the bound is our choice.

    Args:
        target: ``(N,)`` integer class.
        bias: ``(N,)`` integer bias value, or -1.
        groups: names and numbering of the groups.
        train: ``(groups.count,)`` training images of each group.
        below: the bound, in (0, 1].

    Returns:
        ``(N,)`` int64 from 0 to the number of attributes, -1 if the bias is unknown.

    Raises:
        ValueError: ``below`` is outside (0, 1], or images have several labels.

    Example:
        >>> groups = Groups(("cat", "dog"), ("in", "out"))
        >>> train = torch.tensor([95, 5, 50, 50])
        >>> target, bias = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1])
        >>> uncommon_values(target, bias, groups, train).tolist()
        [0, 1, 0]
    """
    check_between("(0, 1]", {"below": below})
    groups.check_single_label("uncommon")
    target, count = target.long(), torch.zeros(len(target), dtype=torch.int64)
    for position, values in enumerate(groups.decode(bias.long()).T):
        own = groups.marginal(train, position) if groups.attributes else train
        counts = own.double().view(groups.rows, -1)
        rare = counts / counts.sum(dim=1, keepdim=True) < below
        count += rare[target, values.clamp(min=0)]
    return torch.where(bias < 0, -1, count)


def uncommon_report(
    prediction: Tensor, target: Tensor, bias: Tensor, groups: Groups, train: Tensor
) -> dict[str, float]:
    """Accuracy by the number of uncommon attributes, with Wilson intervals.

    Args:
        prediction: ``(N,)`` integer class.
        target: as in :func:`uncommon_values`.
        bias: as there.
        groups: as there.
        train: as there.

    Returns:
        For each number n that images have: ``accuracy/n``, ``low/n``, ``high/n`` and ``images/n``.
        ``drop`` is the accuracy with the fewest uncommon attributes that images have minus that
        with the most of them, NaN if all images have the same number.
    """
    count = uncommon_values(target, bias, groups, train)
    known = count >= 0
    right, total = (
        torch.bincount(count[rows], minlength=len(groups.attributes or (0,)) + 1)
        for rows in (known & (prediction == target), known)
    )
    low, high = wilson_interval(right, total)
    shares = accuracy(right, total)
    columns = {"accuracy": shares, "low": low, "high": high, "images": total}
    found = total.nonzero().flatten().tolist()
    scalars = {f"{key}/{n}": values[n].item() for n in found for key, values in columns.items()}
    drop = (shares[found[0]] - shares[found[-1]]).item() if len(found) > 1 else float("nan")
    return {key: float(value) for key, value in scalars.items()} | {"drop": drop}
