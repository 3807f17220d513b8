"""Orders that visit a subsample in which classes, groups or bias values have other shares."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from debias.data.balance import label_counts
from debias.data.orders import OneEach, Order, Permuted, Weighted, seeded_generator
from debias.errors import InputError, check_at_least, check_one_of, shown
from debias.types import Groups


def group_subsample(
    group: OneEach, groups: Groups, seed: int, occurring: Tensor | None = None, *, repeats: int = 1
) -> Order:
    """Subsample every group to the size of the smallest group, once per run.

    Source: Idrissi et al. 2022 (SUBG), as in :func:`debias.data.balance.group_balanced`.

    Args:
        group: ``(N,)`` int64 group of each training sample.
        groups: the names of the groups.
        seed: the run's seed, at least 0. The subsample depends only on the seed and the groups.
        occurring: as for :func:`debias.data.balance.group_balanced`.
        repeats: how often an epoch visits each remaining sample, at least 1. Raise it if few
            samples remain: epochs are then short, and each ends with a validation.

    Raises:
        ValueError: the group of a sample is unknown, a group that occurs has no sample, targets are
            multi-label, or ``repeats`` is below 1.

    Differs from the reference: a group without training samples that another split has is an error.
    """
    return Permuted(cut_to_smallest(group, groups.names, "group", seed, occurring), repeats)


def class_subsample(row: OneEach, groups: Groups, seed: int, *, repeats: int = 1) -> Order:
    """Subsample every class to the size of the smallest class, once per run.

    Source: Idrissi et al. 2022 (SUBY), as in :func:`debias.data.balance.group_balanced`.

    Args:
        row: ``(N,)`` int64 class of each training sample.
        groups: the names of the classes.
        seed: the run's seed, at least 0. The subsample depends only on the seed and the classes.
        repeats: how often an epoch visits each remaining sample, at least 1. Raise it if few
            samples remain: epochs are then short, and each ends with a validation.

    Raises:
        ValueError: a class has no sample, targets are multi-label, or ``repeats`` is below 1.

    Differs from the reference: an empty class is an error.
    """
    return Permuted(cut_to_smallest(row, groups.target_names, "class", seed), repeats)


def class_mixture(row: OneEach, groups: Groups, seed: int, *, ratio: float = 2.0) -> Order:
    r"""Subsample large classes once per run, then draw from the rest with equally likely classes.

    A class keeps at most :math:`\lceil \rho\, n_{\min} \rceil` samples, where :math:`n_{\min}` is
    the size of the smallest class. An epoch has as many draws, with replacement, as samples remain.
    :math:`\rho = 1` keeps the samples of :func:`class_subsample`. From the largest ratio of two
    classes on, the order is :func:`debias.data.balance.class_balanced`.

    Source: LaBonte et al., "The Group Robustness is in the Details: Revisiting Finetuning under
    Spurious Correlations", NeurIPS 2024 (mixture balancing); reference code
    tmlabonte/revisiting-finetuning, whose command for Waterbirds has the default ratio.

    Args:
        row: ``(N,)`` int64 class of each training sample.
        groups: the names of the classes.
        seed: the run's seed, at least 0. The subsample depends only on the seed and the classes.
        ratio: :math:`\rho \ge 1`, the largest ratio of the sizes of two classes that remains.

    Raises:
        ValueError: a class has no sample, targets are multi-label, or ``ratio`` is below 1.

    Differs from the reference: an empty class is an error.
    """
    return _mixture(row, groups.target_names, "class", seed, None, ratio)


def group_mixture(
    group: OneEach,
    groups: Groups,
    seed: int,
    occurring: Tensor | None = None,
    *,
    ratio: float = 2.0,
) -> Order:
    r"""Subsample large groups once per run, then draw from the rest with equally likely groups.

    The same as :func:`class_mixture`, with groups in place of classes.

    Source: LaBonte et al. 2024, as in :func:`class_mixture`.

    Args:
        group: ``(N,)`` int64 group of each training sample.
        groups: the names of the groups.
        seed: as for :func:`class_mixture`.
        occurring: as for :func:`debias.data.balance.group_balanced`.
        ratio: :math:`\rho \ge 1`, the largest ratio of the sizes of two groups that remains.

    Raises:
        ValueError: the group of a sample is unknown, a group that occurs has no sample, targets are
            multi-label, or ``ratio`` is below 1.

    Differs from the reference: the reference code for groups reads a variable before it is set, and
    so cannot run.
    """
    return _mixture(group, groups.names, "group", seed, occurring, ratio)


def distribution_subsample(
    row: OneEach,
    bias: Tensor,
    groups: Groups,
    seed: int,
    *,
    shares: list[float] | None = None,
    within: str = "class",
    repeats: int = 1,
) -> Order:
    r"""Subsample once per run, so that the bias values have given shares within every class.

    With :math:`n_{yb}` samples of class y and bias value b, and target shares :math:`t_b`, a class
    keeps

    .. math:: \lfloor t_b\, N_y \rfloor \text{ samples of bias value } b, \qquad
              N_y = \min_{b:\, t_b > 0} n_{yb} / t_b

    so it loses as few samples as the shares allow. Classes keep different numbers of samples.

    Source: Yang et al., "Towards Fairer Datasets: Filtering and Balancing the Distribution of the
    People Subtree in the ImageNet Hierarchy", FAccT 2020, who subsample each class to a requested
    distribution. The formula is that of this package.

    Args:
        row: ``(N,)`` int64 class of each training sample.
        bias: ``(N,)`` int64 value of the bias attribute of each training sample.
        groups: the names of the classes and of the bias values.
        seed: the run's seed, at least 0. The subsample depends only on the seed and the labels.
        shares: t, one per bias value, with sum 1. A value with share 0 is left out. ``None`` gives
            all values that occur the same share.
        within: "class", or "all" for the given shares in all classes together.
        repeats: as for :func:`class_subsample`.

    Raises:
        ValueError: the bias value of a sample is unknown, targets are multi-label, ``shares`` does
            not have one entry per bias value that is not negative and sum 1, a class has no sample
            of a bias value that has a share, ``within`` is unknown, or ``repeats`` is below 1.
    """
    check_one_of(("class", "all"), {"sampler.within": within})
    label_counts(row, groups.target_names, "class")
    counts = label_counts(bias, groups.bias_names, "bias", torch.zeros(groups.biases).bool())
    target = _shares(shares, counts, groups)
    classes, label = (groups.rows, row * groups.biases + bias) if within == "class" else (1, bias)
    table = torch.bincount(label, minlength=classes * groups.biases).view(classes, groups.biases)
    wanted = target > 0
    for y, value in ((table == 0) & wanted).nonzero()[:1].tolist():
        of = f"class {groups.target_names[y]}" if within == "class" else "the training split"
        raise InputError(
            f"{of} has no sample of bias value {groups.bias_names[value]}, which has a share above "
            "0: set sampler.shares, with 0 for this value, or add samples"
        )
    whole = (table[:, wanted] / target[wanted]).min(dim=1).values
    most = (whole[:, None] * target + 1e-9).floor().long()  # 0.2 * 100 may be 19.999999999999996
    return Permuted(cut(label, most.flatten(), seed), repeats)


def cut(label: Tensor, most: Tensor, seed: int) -> Tensor:
    """Positions of at most ``most[l]`` random samples of each label l, in ascending order.

    A larger ``most`` keeps the same samples and more.

    Args:
        label: ``(N,)`` int64 in [0, L).
        most: ``(L,)`` int64, at least 0.
        seed: the draw depends only on the seed and the labels.
    """
    permutation = torch.randperm(len(label), generator=seeded_generator(seed))
    by_label = permutation[torch.argsort(label[permutation], stable=True)]
    counts = torch.bincount(label, minlength=len(most))
    place = torch.arange(len(label)) - (counts.cumsum(0) - counts)[label[by_label]]
    return by_label[place < most[label[by_label]]].sort().values


def cut_to_smallest(
    label: Tensor,
    names: Sequence[str],
    kind: str,
    seed: int,
    occurring: Tensor | None = None,
    *,
    ratio: float = 1.0,
) -> Tensor:
    """Positions of at most ``ratio`` times as many samples of a label as the smallest label has.

    Args:
        label: ``(N,)`` int64 class or group of each training sample.
        names: the name of each label.
        kind: "class" or "group", for messages.
        seed: as for :func:`cut`.
        occurring: as for :func:`debias.data.balance.group_balanced`.
        ratio: at least 1.

    Raises:
        ValueError: a label is unknown, or a label that occurs has no sample.
    """
    counts = label_counts(label, names, kind, occurring)
    smallest = int(counts[counts > 0].min())
    most = math.ceil(min(ratio * smallest, len(label)))  # the ratio may be infinite
    return cut(label, torch.full_like(counts, most), seed)


def _mixture(
    label: Tensor,
    names: Sequence[str],
    kind: str,
    seed: int,
    occurring: Tensor | None,
    ratio: float,
) -> Order:
    check_at_least(1, {"sampler.ratio": ratio})
    kept = cut_to_smallest(label, names, kind, seed, occurring, ratio=ratio)
    weights = torch.zeros(len(label), dtype=torch.float64)
    weights[kept] = 1 / torch.bincount(label[kept]).double()[label[kept]]
    return Weighted(weights, len(kept))


def _shares(shares: list[float] | None, counts: Tensor, groups: Groups) -> Tensor:
    """``(B,)`` float64 target share of each bias value."""
    if shares is None:
        return (counts > 0).double() / int((counts > 0).sum())
    target = torch.tensor(shares, dtype=torch.float64)
    whole = bool((target >= 0).all()) and abs(sum(shares) - 1) <= 1e-6  # false for NaN
    if len(shares) != groups.biases or not whole:
        raise InputError(
            "sampler.shares must have one share per bias value, at least 0, with sum 1; got "
            f"sampler.shares={shares} for {shown(groups.bias_names)}"
        )
    return target
