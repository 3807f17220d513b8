"""Orders that draw classes, groups, bias values or inferred groups in balanced shares."""

from collections.abc import Sequence

import torch
from torch import Tensor

from debias.data.checks import fewer
from debias.data.orders import OneEach, Order, Weighted
from debias.errors import InputError, check_between, shown
from debias.types import Groups


def group_balanced(
    group: OneEach, groups: Groups, occurring: Tensor | None = None, *, power: float = 1.0
) -> Order:
    r"""Draw N samples with replacement; every group is equally likely.

    :math:`P(i) \propto n_{g_i}^{-\lambda}` with :math:`\lambda = 1`.

    Source: Idrissi et al., "Simple data balancing achieves competitive worst-group-accuracy", CLeaR
    2022 (RWG; reference code facebookresearch/BalancingGroups).

    Args:
        group: ``(N,)`` int64 group of each training sample.
        groups: the names of the groups.
        occurring: ``(G,)`` bool: whether a split has a sample of each group. The other groups are
            left out. ``None`` if all occur.
        power: :math:`\lambda` in [0, 1]; see :func:`class_balanced`.

    Raises:
        ValueError: the group of a sample is unknown, a group that occurs has no sample, targets are
            multi-label, or ``power`` is outside [0, 1].

    Differs from the reference: a group without training samples that another split has is an error;
    the reference silently leaves it out.
    """
    return Weighted(_inverse_counts(group, groups.names, "group", occurring, power=power))


def class_balanced(row: OneEach, groups: Groups, *, power: float = 1.0) -> Order:
    r"""Draw N samples with replacement; every class is equally likely.

    :math:`P(i) \propto n_{y_i}^{-\lambda}` with :math:`\lambda = 1`. With :math:`\lambda = 1/2`
    (square-root sampling), the share of a class is proportional to the square root of its size.

    Source: Idrissi et al. 2022 (RWY), as in :func:`group_balanced`; square-root sampling: Mahajan
    et al., "Exploring the Limits of Weakly Supervised Pretraining", ECCV 2018.

    Args:
        row: ``(N,)`` int64 class of each training sample.
        groups: the names of the classes.
        power: :math:`\lambda` in [0, 1]. 1 makes all classes equally likely, and 0 all samples.

    Raises:
        ValueError: a class has no sample, targets are multi-label, or ``power`` is outside [0, 1].

    Differs from the reference: an empty class is an error.
    """
    return Weighted(_inverse_counts(row, groups.target_names, "class", power=power))


def bias_balanced(bias: Tensor, groups: Groups, occurring: Tensor | None = None) -> Order:
    r"""Draw N samples with replacement; every value of the bias attribute is equally likely.

    :math:`P(i) \propto 1 / n_{b_i}`.

    Source: Wang et al., "Balanced Datasets Are Not Enough", ICCV 2019, who train their adversaries
    on such batches; reference code uvavision/Balanced-Datasets-Are-Not-Enough.

    Args:
        bias: ``(N,)`` int64 value of the bias attribute of each training sample.
        groups: the names of the bias values.
        occurring: as for :func:`group_balanced`.

    Raises:
        ValueError: the bias value of a sample is unknown, or a value that occurs has no sample.

    Differs from the reference: the reference skips a batch whose draw is not balanced. Here no
    batch is skipped, and batches are balanced in expectation.
    """
    if occurring is not None:
        occurring = occurring.view(groups.rows, groups.biases).any(dim=0)
    return Weighted(_inverse_counts(bias, groups.bias_names, "bias", occurring))


def cluster_balanced(row: OneEach, partition: Tensor, *, powers: list[int]) -> Order:
    r"""Draw N samples: classes are equally likely, and small inferred groups are upweighted.

    .. math:: P(i) = \frac1C\, \frac{n_{y_i, j_i}^{-\lambda_{y_i}}}
              {\sum_{k: y_k = y_i} n_{y_k, j_k}^{-\lambda_{y_i}}}

    Source: Yang et al., "Identifying Spurious Biases Early in Training through the Lens of
    Simplicity Bias" (SPARE), AISTATS 2024; reference code BigML-CS-UCLA/SpuCo.

    Args:
        row: ``(N,)`` int64 class of each training sample.
        partition: ``(N,)`` int64 inferred group of each training sample within its class
            (``groups.file``).
        powers: :math:`\lambda` of each of the C classes. 1 makes all groups of the class equally
            likely.

    Raises:
        ValueError: ``powers`` does not have one entry per class, an inferred group is unknown, or
            targets are multi-label.
    """
    if row.ndim != 1 or bool((partition < 0).any()):
        raise InputError(
            "sampler.name=cluster_balanced needs one class and one inferred group per training "
            "sample: use a single target, and infer groups for all training samples"
        )
    if int(row.max()) + 1 != len(powers):
        raise InputError(
            f"sampler.powers must have one power per class; got {len(powers)} powers for "
            f"{int(row.max()) + 1} classes"
        )
    _, group, counts = torch.unique(
        torch.stack([row, partition]), dim=1, return_inverse=True, return_counts=True
    )
    weights = counts[group].double() ** -torch.tensor(powers, dtype=torch.float64)[row]
    return Weighted(weights / weights.new_zeros(len(powers)).index_add(0, row, weights)[row])


def label_counts(
    label: Tensor, names: Sequence[str], kind: str, occurring: Tensor | None = None
) -> Tensor:
    """``(L,)`` int64 number of samples of each label, for an order that balances the labels.

    Args:
        label: ``(N,)`` int64 label of each training sample.
        names: the name of each of the L labels.
        kind: "class", "group" or "bias", for messages.
        occurring: ``(L,)`` bool: the labels that need a sample; ``None`` means all.

    Raises:
        ValueError: a label is unknown or has no sample, or a sample has several labels.
    """
    if label.ndim != 1:
        raise InputError(
            f"{kind} balancing needs one {kind} per image, and these images have several labels: "
            "set sampler.name=shuffled"
        )
    if bool((label < 0).any()):
        raise InputError(
            f"{kind} balancing needs the {kind} of every training sample; {int((label < 0).sum())} "
            f"of {len(label)} are unknown: label them, or set sampler.name=class_balanced"
        )
    counts = torch.bincount(label, minlength=len(names))
    if empty := fewer(names, counts if occurring is None else counts + ~occurring):
        raise InputError(
            f"{kind} {shown(empty)} has no training sample to balance: add samples, or set "
            "sampler.name=shuffled"
        )
    return counts


def _inverse_counts(
    label: Tensor,
    names: Sequence[str],
    kind: str,
    occurring: Tensor | None = None,
    *,
    power: float = 1.0,
) -> Tensor:
    check_between("[0, 1]", {"sampler.power": power})
    counts = label_counts(label, names, kind, occurring).double()[label]
    return 1 / (counts if power == 1 else counts**power)
