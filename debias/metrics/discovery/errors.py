"""How well errors, or groups inferred within classes, identify bias-conflicting samples."""

from typing import NamedTuple

import torch
from torch import Tensor

from debias.metrics.accuracy.counts import Margins, aligned_groups, group_tally, margin_counts
from debias.types import Groups


class ClassDiscovery(NamedTuple):
    """How well inferred groups separate minority from majority samples within each class.

    Attributes:
        accuracy: scalar, share of all samples that are assigned correctly to minority or majority.
        precision: ``(C,)`` precision of the inferred minority of each class. NaN if no sample of
            the class is inferred as minority.
        recall: ``(C,)`` recall of the true minority of each class. NaN if the class has none.
    """

    accuracy: Tensor
    precision: Tensor
    recall: Tensor


def class_discovery(inferred: Tensor, target: Tensor, minority: Tensor) -> ClassDiscovery:
    """Measure how well groups inferred within each class identify its minority samples.

    In each class, the largest inferred group counts as the majority. All other groups together
    count as the minority.

    Source: SpuCo's ``GroupEvaluator``, BigML-CS-UCLA/SpuCo.

    Args:
        inferred: ``(N,)`` integer >= 0, inferred group within the class. Give a set of samples,
            such as the errors, as 0/1 or bool.
        target: ``(N,)`` integer class in [0, C).
        minority: ``(N,)`` bool or 0/1: whether the shortcut misleads on the sample.

    Returns:
        Values in [0, 1], ideal 1; NaN without samples. Aggregate classes by ``nanmean`` and
        ``least``. If the largest inferred groups are equally large, the first is the majority.
    """
    inferred, target, minority = inferred.long(), target.long(), minority.bool()
    classes = int(target.max()) + 1 if len(target) else 0
    guess = torch.zeros_like(minority)
    for one in range(classes):
        members = target == one
        if members.any():
            guess[members] = inferred[members] != torch.bincount(inferred[members]).argmax()
    hits, inferred_size, true_size = (
        _by_class(part, target, classes) for part in (guess & minority, guess, minority)
    )
    correct = (guess == minority).double().mean()
    return ClassDiscovery(correct, hits / inferred_size, hits / true_size)


def discovery_scalars(counts: Tensor | Margins, groups: Groups) -> dict[str, Tensor]:
    r"""How well the set E of a model's errors matches the set M of bias-conflicting samples.

    .. math:: \mathrm{precision} = \frac{|E \cap M|}{|E|},
              \quad \mathrm{recall} = \frac{|E \cap M|}{|M|},
              \quad \mathrm{lift} = \frac{\mathrm{precision}}{|M| / N}

    Source: Liu et al., "Just Train Twice", ICML 2021, anniesch/jtt (its Table 4 counts the error
    set by group).

    Args:
        counts: result of ``margin_counts`` or ``joint_counts``. Samples of unknown bias are left
            out.
        groups: names and numbering of the groups. M holds the groups that are not in ``aligned``.

    Returns:
        The float64 scalars of the family ``ERRORS``; multi-label, over (image, label) pairs. If
        there is no error, precision, lift and all shares are NaN. If M is empty, recall and lift
        are NaN. If both are empty, F1 is NaN too. Without ``groups.aligned`` only the shares exist.
    """
    correct, total = group_tally(counts)
    total, errors = total.double(), (total - correct).double()
    shares = errors / errors.sum()
    scalars = {
        f"discovery/error_share/{name}": share
        for name, share in zip(groups.names, shares, strict=True)
    }
    if groups.aligned:
        minority = ~aligned_groups(groups).to(total.device)
        hits, size = errors[minority].sum(), total[minority].sum()
        precision = hits / errors.sum()
        scalars["discovery/error_precision"] = precision
        scalars["discovery/error_recall"] = hits / size
        scalars["discovery/error_f1"] = 2 * hits / (errors.sum() + size)
        scalars["discovery/error_lift"] = precision / (size / total.sum())
    return scalars


def discovery_report(
    prediction: Tensor, target: Tensor, bias: Tensor, groups: Groups
) -> dict[str, float]:
    """Compute ``discovery_scalars`` from predictions, as plain floats. Arguments are those of
    ``joint_counts``.
    """
    scalars = discovery_scalars(margin_counts(prediction, target, bias, groups), groups)
    return {key: value.item() for key, value in scalars.items()}


def _by_class(members: Tensor, target: Tensor, classes: int) -> Tensor:
    return torch.bincount(target[members], minlength=classes).double()
