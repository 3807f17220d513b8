"""How well an inferred error set, or inferred groups, find the samples that are misled."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from debias.metrics.accuracy.counts import Margins, aligned_groups, group_tally, margin_counts
from debias.types import Groups


class Found(NamedTuple):
    """How well a set of samples matches the minority: float64, of one shape.

    Attributes:
        precision: share of the set that belongs to the minority.
        recall: share of the minority that is in the set.
        f1: harmonic mean of the two.
        lift: precision over the minority's share of all samples, what a set drawn at random would
            have.
    """

    precision: Tensor
    recall: Tensor
    f1: Tensor
    lift: Tensor


class ErrorShares(NamedTuple):
    """``(G,)`` float64: share of each group in the error set, and share of it by group."""

    recall: Tensor
    precision: Tensor


class ClassDiscovery(NamedTuple):
    """Recovery of the minority within classes.

    Attributes:
        accuracy: share of the samples put on their side, of all classes together.
        precision, recall: ``(C,)`` of each class's minority, NaN where the class has none inferred,
            or none at all.
    """

    accuracy: Tensor
    precision: Tensor
    recall: Tensor


def found_minority(selected: Tensor, minority: Tensor) -> Found:
    r"""Precision, recall, F1 and lift of a set of samples as a finder of the minority.

    .. math:: \mathrm{precision} = \frac{|E \cap M|}{|E|},
              \quad \mathrm{recall} = \frac{|E \cap M|}{|M|},
              \quad \mathrm{lift} = \frac{\mathrm{precision}}{|M| / N}

    Source: Liu et al., "Just Train Twice", ICML 2021, anniesch/jtt, where E is the set of errors of
    a first model.

    Args:
        selected: ``(N,)`` bool, the set E.
        minority: ``(N,)`` bool, the set M: the samples that the shortcut misleads.

    Returns:
        Ideal 1 for the first three and :math:`N / |M|` for the lift. NaN: precision and lift of an
        empty set, recall and lift without a minority, F1 without either.

    Example:
        >>> selected, minority = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0]]).bool()
        >>> found = found_minority(selected, minority)
        >>> [value.item() for value in found]
        [0.5, 1.0, 0.6666666666666666, 2.0]
    """
    both, size, rare = ((selected & minority).sum(), selected.sum(), minority.sum())
    return _found(both, size, rare, torch.tensor(len(minority)))


def error_shares(errors: Tensor, total: Tensor) -> ErrorShares:
    """Where a model's errors lie: by group, error rate and share of all errors.

    Source: Liu et al., "Just Train Twice", ICML 2021 (its Table 4 counts the error set by group).

    Args:
        errors, total: ``(G,)`` integer counts of each group.

    Returns:
        float64 in [0, 1]; NaN for the recall of an empty group, and for all shares without any
        error.
    """
    return ErrorShares(_ratio(errors, total), _ratio(errors, errors.sum()))


def class_discovery(inferred: Tensor, target: Tensor, minority: Tensor) -> ClassDiscovery:
    """Recovery of the minority in each class by groups that were inferred within classes.

    In each class, the largest inferred group counts as the majority, and all others together as the
    minority.

    Source: SpuCo's ``GroupEvaluator``, BigML-CS-UCLA/SpuCo.

    Args:
        inferred: ``(N,)`` integer, at least 0: inferred group within the class; a set such as the
            errors is 0 and 1, or bool.
        target: ``(N,)`` integer class in [0, C).
        minority: ``(N,)`` bool or 0/1: the samples that the shortcut misleads.

    Returns:
        In [0, 1], ideal 1; NaN without samples. Take ``nanmean`` and ``worst_accuracy`` over the
        classes. Of inferred groups that are equally large, the first is the majority.
    """
    inferred, target, minority = inferred.long(), target.long(), minority.bool()
    classes = int(target.max()) + 1 if len(target) else 0
    guess = torch.zeros_like(minority)
    for one in range(classes):
        members = target == one
        if members.any():
            guess[members] = inferred[members] != torch.bincount(inferred[members]).argmax()
    found, size, rare = (
        _by_class(part, target, classes) for part in (guess & minority, guess, minority)
    )
    correct = (guess == minority).double().mean()
    return ClassDiscovery(correct, _ratio(found, size), _ratio(found, rare))


def discovery_scalars(counts: Tensor | Margins, groups: Groups) -> dict[str, Tensor]:
    """The scalars of the family ``ERRORS``: how well a model's errors find the misled samples.

    Args:
        counts: as ``margin_counts`` or ``joint_counts`` returns them; unknown biases are left out.
        groups: names and numbering of the groups; the minority are those that are not ``aligned``.

    Returns:
        float64 scalars; NaN as in :func:`found_minority`. Multi-label: over (image, label) pairs.
        The keys of the minority are there if ``groups.aligned`` is not empty.
    """
    correct, total = group_tally(counts)
    errors = total - correct
    shares = error_shares(errors, total)
    scalars = {
        f"discovery/error_share/{name}": share
        for name, share in zip(groups.names, shares.precision, strict=True)
    }
    if groups.aligned:
        minority = ~aligned_groups(groups).to(total.device)
        found = _found(errors[minority].sum(), errors.sum(), total[minority].sum(), total.sum())
        scalars |= {f"discovery/error_{name}": value for name, value in found._asdict().items()}
    return scalars


def discovery_report(
    prediction: Tensor, target: Tensor, bias: Tensor, groups: Groups
) -> dict[str, float]:
    """``discovery_scalars`` of predictions, as plain floats; arguments as in ``joint_counts``."""
    scalars = discovery_scalars(margin_counts(prediction, target, bias, groups), groups)
    return {key: value.item() for key, value in scalars.items()}


def _found(both: Tensor, size: Tensor, rare: Tensor, every: Tensor) -> Found:
    precision = _ratio(both, size)
    return Found(
        precision,
        _ratio(both, rare),
        _ratio(2 * both, size + rare),
        _ratio(precision, _ratio(rare, every)),
    )


def _by_class(members: Tensor, target: Tensor, classes: int) -> Tensor:
    return torch.bincount(target[members], minlength=classes)


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    return above.double() / torch.where(below > 0, below.double(), torch.nan)
