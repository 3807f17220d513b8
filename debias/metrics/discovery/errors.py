"""How well errors, or groups inferred within classes, find the samples that are misled."""

from typing import NamedTuple

import torch
from torch import Tensor

from debias.metrics.accuracy.counts import Margins, aligned_groups, group_tally, margin_counts
from debias.types import Groups


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
        In [0, 1], ideal 1; NaN without samples. Take ``nanmean`` and ``least`` over the
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
    r"""How well the set E of a model's errors finds the set M of the misled samples.

    .. math:: \mathrm{precision} = \frac{|E \cap M|}{|E|},
              \quad \mathrm{recall} = \frac{|E \cap M|}{|M|},
              \quad \mathrm{lift} = \frac{\mathrm{precision}}{|M| / N}

    Source: Liu et al., "Just Train Twice", ICML 2021, anniesch/jtt (its Table 4 counts the error
    set by group).

    Args:
        counts: as ``margin_counts`` or ``joint_counts`` returns them; unknown biases are left out.
        groups: names and numbering of the groups; M holds those that are not ``aligned``.

    Returns:
        The float64 scalars of the family ``ERRORS``. NaN: precision, lift and all shares without
        an error, recall and lift without a minority, F1 without either. Multi-label: over (image,
        label) pairs. The keys of the minority are there if ``groups.aligned`` is not empty.
    """
    correct, total = group_tally(counts)
    errors = total - correct
    shares = _ratio(errors, errors.sum())
    scalars = {
        f"discovery/error_share/{name}": share
        for name, share in zip(groups.names, shares, strict=True)
    }
    if groups.aligned:
        minority = ~aligned_groups(groups).to(total.device)
        both, rare = errors[minority].sum(), total[minority].sum()
        precision = _ratio(both, errors.sum())
        scalars["discovery/error_precision"] = precision
        scalars["discovery/error_recall"] = _ratio(both, rare)
        scalars["discovery/error_f1"] = _ratio(2 * both, errors.sum() + rare)
        scalars["discovery/error_lift"] = _ratio(precision, _ratio(rare, total.sum()))
    return scalars


def discovery_report(
    prediction: Tensor, target: Tensor, bias: Tensor, groups: Groups
) -> dict[str, float]:
    """``discovery_scalars`` of predictions, as plain floats; arguments as in ``joint_counts``."""
    scalars = discovery_scalars(margin_counts(prediction, target, bias, groups), groups)
    return {key: value.item() for key, value in scalars.items()}


def _by_class(members: Tensor, target: Tensor, classes: int) -> Tensor:
    return torch.bincount(target[members], minlength=classes)


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    return above.double() / torch.where(below > 0, below.double(), torch.nan)
