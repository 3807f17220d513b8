"""Bias amplification: is a model's use of an attribute stronger than the data's? Zero is no change.

Every measure is a ``(T, A)`` table, one entry per task and attribute, and a mean over it. All of
them compare co-occurrences, so none sees amplification that starts from data in which task and
attribute are independent.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.amplification.counts import CoOccurrence


class Summary(NamedTuple):
    """Three float64 scalars of the defined entries: mean (with signs), mean magnitude, variance."""

    mean: Tensor
    magnitude: Tensor
    variance: Tensor


def summarise(table: Tensor) -> Summary:
    """Mean, mean magnitude and variance (ddof 0) of the entries that are not NaN, or NaN."""
    mean = table.nanmean()
    return Summary(mean, table.abs().nanmean(), (table - mean).square().nanmean())


def association(labels: CoOccurrence, *, tie: int = 0) -> Tensor:
    r"""Whether an attribute makes a task more or less common.

    .. math:: y_{ta} = \mathrm{sign}(P(t, a) - P(t) P(a))

    Source: Wang and Russakovsky, "Directional Bias Amplification", ICML 2021
    (github.com/princetonvisualai/directional-bias-amp).

    Args:
        labels: counts of true tasks and attributes, usually of the training set.
        tie: what an independent pair counts as: 0 as in the released code, or -1 as in the paper's
            formula, in which what is not more common is less common (Hall et al.).

    Returns:
        ``(T, A)`` float64, -1, 0 or 1; NaN if there are no labels.

    Raises:
        ValueError: another ``tie``.

    Differs from the reference: independence is decided on integers, exactly; rounding decides it
    there.
    """
    if tie not in (0, -1):
        raise InputError(
            f"tie must be 0 (Wang and Russakovsky's code) or -1 (Hall et al.); got {tie}"
        )
    excess = labels.both * labels.samples - labels.task[:, None] * labels.attribute
    sign = excess.sign().double()
    return torch.where(labels.samples > 0, torch.where(sign == 0, float(tie), sign), torch.nan)


def task_change(predicted: CoOccurrence, baseline: CoOccurrence) -> Tensor:
    r"""``(T, A)`` float64 in [-1, 1]: how much more often tasks are predicted where an attribute
    is, than they are so.

    .. math:: \Delta_{ta} = P(\hat t \mid a) - P(t \mid a)

    NaN where nothing has the attribute.
    """
    before, after = (counts.both.double() / counts.attribute for counts in (baseline, predicted))
    return after - before


def attribute_change(predicted: CoOccurrence, baseline: CoOccurrence) -> Tensor:
    r"""``(T, A)`` float64 in [-1, 1]: how much more often attributes are predicted where a task is,
    than they are so.

    .. math:: \Delta_{ta} = P(\hat a \mid t) - P(a \mid t)

    NaN where nothing has the task.
    """
    before, after = (
        counts.both.double() / counts.task[:, None] for counts in (baseline, predicted)
    )
    return after - before


def attribute_to_task(
    predicted: CoOccurrence,
    baseline: CoOccurrence,
    indicator: CoOccurrence | None = None,
    *,
    tie: int = 0,
) -> Tensor:
    r"""Directional amplification from attributes to tasks: do attributes drive predicted tasks?

    .. math:: y_{ta} \left( P(\hat t \mid a) - P(t \mid a) \right)

    Source: Wang and Russakovsky, "Directional Bias Amplification", ICML 2021
    (github.com/princetonvisualai/directional-bias-amp), with the training labels as indicator. Hall
    et al., "A Systematic Study of Bias Amplification", 2022, take the test labels for both and
    ``tie=-1``.

    Args:
        predicted: counts of predicted tasks with true attributes, on the test set.
        baseline: counts of true tasks with true attributes that these are compared with, those of
            the test set.
        indicator: counts of labels that say which pairs go together, those of the training set;
            ``None`` is ``baseline``.
        tie: as in ``association``.

    Returns:
        ``(T, A)`` float64 in [-1, 1], positive where the association grew, negative where it
        shrank, 0 for no change, NaN where nothing has the attribute. ``summarise(...).mean`` is the
        published number.

    Differs from the reference: OxonFair's number of this name has the opposite sign.
    ``bias-amplification`` 0.2.1 divides by the sum over tasks, which is the same with one label per
    image and not with several.

    Example:
        >>> labels = CoOccurrence(*map(torch.tensor, ([[3, 1], [1, 3]], [4, 4], [4, 4], 8)))
        >>> model = CoOccurrence(*map(torch.tensor, ([[4, 0], [0, 4]], [4, 4], [4, 4], 8)))
        >>> summarise(attribute_to_task(model, labels)).mean.item()
        0.25
    """
    sign = association(baseline if indicator is None else indicator, tie=tie)
    return sign * task_change(predicted, baseline)


def task_to_attribute(
    predicted: CoOccurrence,
    baseline: CoOccurrence,
    indicator: CoOccurrence | None = None,
    *,
    tie: int = 0,
) -> Tensor:
    r"""Directional amplification from tasks to attributes: do tasks drive predicted attributes?

    .. math:: y_{ta} \left( P(\hat a \mid t) - P(a \mid t) \right)

    Arguments, source and result as in ``attribute_to_task``; ``predicted`` counts true tasks with
    *predicted* attributes, and NaN is where nothing has the task.
    """
    sign = association(baseline if indicator is None else indicator, tie=tie)
    return sign * attribute_change(predicted, baseline)


def attribute_shares(counts: CoOccurrence) -> Tensor:
    r"""``(T, A)`` float64 :math:`b(t, a) = c(t, a) / \sum_{a'} c(t, a')`; NaN without task t."""
    both = counts.both.double()
    return both / both.sum(dim=1, keepdim=True)


def mals(predicted: CoOccurrence, baseline: CoOccurrence) -> Tensor:
    r"""Growth of the shares that are more than even in the data ("Men also like shopping").

    .. math:: 1[b_{\mathrm{base}}(t, a) > 1 / A]
              \left( b_{\mathrm{pred}}(t, a) - b_{\mathrm{base}}(t, a) \right)

    Source: Zhao et al., "Men Also Like Shopping", EMNLP 2017 (github.com/uclanlp/reducingbias),
    which keeps only tasks with more than 50 training images; the components are those of Wang and
    Russakovsky, ICML 2021.

    Args:
        predicted: counts of predicted tasks with predicted attributes; with true attributes for the
            component from attributes to tasks, of true tasks with predicted attributes for the
            component from tasks to attributes.
        baseline: counts of the labels, those of the training set (or of the test set).

    Returns:
        ``(T, A)`` float64 in [-1, 1): 0 for no change and for pairs that are not more than even;
        NaN where the task of a more than even pair is never predicted, and throughout if no task
        occurs in labels and predictions both. ``mals_mean`` is the published number.

    Differs from the reference: its value is 0 where nothing is predicted. ``bias-amplification``
    0.2.1 takes differences of joint probabilities with the true attribute.

    Example:
        >>> labels = CoOccurrence(*map(torch.tensor, ([[3, 1], [1, 3]], [4, 4], [4, 4], 8)))
        >>> model = CoOccurrence(*map(torch.tensor, ([[4, 0], [0, 4]], [4, 4], [4, 4], 8)))
        >>> mals_mean(mals(model, labels)).item()
        0.25
    """
    before, after = attribute_shares(baseline), attribute_shares(predicted)
    more_than_even = baseline.both * baseline.both.shape[1] > baseline.both.sum(dim=1, keepdim=True)
    table = torch.where(more_than_even, after - before, 0.0)
    return torch.where((after + before).isfinite().any(), table, torch.nan)


def mals_mean(table: Tensor) -> Tensor:
    """Sum of a table of ``mals`` over its number of tasks, scalar: a task never predicted adds 0,
    and is counted.

    Range [-1, 1), ideal 0; NaN if the whole table is.
    """
    return torch.where(table.isnan().all(), torch.nan, table.nansum() / len(table))


def share_bias(predicted: CoOccurrence) -> Tensor:
    r"""How far predicted classes are from an even mix of domains.

    .. math:: \frac{1}{TA} \sum_{t, a} \left| b_{\mathrm{pred}}(t, a) - 1 / A \right|

    Source: Wang et al., "Towards Fairness in Visual Recognition", CVPR 2020 (CIFAR-10S; for its two
    domains the mean over them is the one that it takes of the first).

    Args:
        predicted: counts of predicted classes with true domains, on a test set in which domains are
            balanced.

    Returns:
        Scalar float64 in [0, 1/2], ideal 0. A class never predicted has shares 0, so adds 1 / A;
        NaN if nothing is predicted.
    """
    table = (_shares_or_zero(predicted) - 1 / predicted.both.shape[1]).abs()
    return torch.where(predicted.both.sum() > 0, table.mean(), torch.nan)


def share_amplification(predicted: CoOccurrence, baseline: CoOccurrence) -> Tensor:
    r"""How far predicted classes are from the mix of domains in the labels.

    .. math:: \frac{1}{TA} \sum_{t, a}
              \left| b_{\mathrm{pred}}(t, a) - b_{\mathrm{base}}(t, a) \right|

    Source: Wang et al., "Towards Fairness in Visual Recognition", CVPR 2020 (CelebA, "mean bias
    amplification").

    Args:
        predicted: counts of predicted classes with true domains, on the test set.
        baseline: counts of true classes with true domains, on the training set (or the test set).

    Returns:
        Scalar float64 in [0, 1], ideal 0. A class never predicted, or never labelled, has shares 0
        there; NaN if nothing is predicted or nothing labelled.
    """
    table = (_shares_or_zero(predicted) - _shares_or_zero(baseline)).abs()
    observed = (predicted.both.sum() > 0) & (baseline.both.sum() > 0)
    return torch.where(observed, table.mean(), torch.nan)


def _shares_or_zero(counts: CoOccurrence) -> Tensor:
    return attribute_shares(counts).nan_to_num(nan=0.0)


def multi_mals(predicted: CoOccurrence, baseline: CoOccurrence) -> Summary:
    r"""Undirected multi-attribute amplification.

    .. math:: \frac{1}{M} \sum_{m, g} 1[b_{\mathrm{base}}(m, g) > 1 / G]
        \left| b_{\mathrm{pred}}(m, g) - b_{\mathrm{base}}(m, g) \right|

    Source: Zhao, Andrews and Xiang, ICML 2023 (github.com/SonyResearch/multi_bias_amp).

    Args:
        predicted: counts of predicted label sets with predicted groups.
        baseline: counts of the training labels; or of the test labels.

    Returns:
        Magnitude in [0, 2), ideal 0; the variance counts the zeros of pairs that are not more than
        even. NaN as in ``mals``, also without any set.

    Differs from the reference: its threshold is 1 / (G - 1), so that with two groups no pair passes
    and the value is always 0; here it is the paper's 1 / G.
    """
    table = mals(predicted, baseline)
    return Summary(mals_mean(table), mals_mean(table.abs()), summarise(table).variance)


def group_to_sets(
    predicted: CoOccurrence, baseline: CoOccurrence, indicator: CoOccurrence | None = None
) -> Summary:
    r"""Directional multi-attribute amplification from groups to label sets.

    .. math:: \mathrm{mean}_{m, g} \left| P(\hat m \mid g) - P(m \mid g) \right|

    Source: Zhao, Andrews and Xiang, ICML 2023 (github.com/SonyResearch/multi_bias_amp).

    Args:
        predicted: counts of predicted label sets with true groups, on the test set.
        baseline: counts of true label sets with true groups: those of the test set, as in the
            released code, or of the training set, as on the project's page.
        indicator: counts that give the sign of ``signed``, those of the training set; ``None`` is
            ``baseline``.

    Returns:
        Magnitude in [0, 1], ideal 0, and the variance of the differences without sign; over the
        pairs whose condition occurs, NaN if none does.
    """
    return _directed(task_change(predicted, baseline), baseline if indicator is None else indicator)


def sets_to_group(
    predicted: CoOccurrence, baseline: CoOccurrence, indicator: CoOccurrence | None = None
) -> Summary:
    r"""Directional multi-attribute amplification from label sets to groups.

    .. math:: \mathrm{mean}_{m, g} \left| P(\hat g \mid m) - P(g \mid m) \right|

    As ``group_to_sets``; ``predicted`` counts true label sets with *predicted* groups.
    """
    return _directed(
        attribute_change(predicted, baseline), baseline if indicator is None else indicator
    )


def _directed(change: Tensor, indicator: CoOccurrence) -> Summary:
    return summarise(change)._replace(mean=(association(indicator) * change).nanmean())
