"""Formulas of bias amplification, from co-occurrence counts. Zero means no change.

Each formula gives a ``(T, A)`` table with one entry per task and attribute, and a mean over it.
They compare predictions with labels. If task and attribute are independent in the labels, none of
them detects amplification.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.amplification.counts import CoOccurrence


class Summary(NamedTuple):
    """Mean, mean absolute value and variance of the entries of a table: three float64 scalars."""

    mean: Tensor
    magnitude: Tensor
    variance: Tensor


def summarise(table: Tensor) -> Summary:
    """Mean, mean absolute value and variance (ddof 0) of the entries that are not NaN. All are NaN
    if every entry is.
    """
    mean = table.nanmean()
    return Summary(mean, table.abs().nanmean(), (table - mean).square().nanmean())


def association(labels: CoOccurrence, *, tie: int = 0) -> Tensor:
    r"""Sign of the association of each task with each attribute.

    .. math:: y_{ta} = \mathrm{sign}(P(t, a) - P(t) P(a))

    Source: Wang and Russakovsky, "Directional Bias Amplification", ICML 2021
    (github.com/princetonvisualai/directional-bias-amp).

    Args:
        labels: counts of true tasks and attributes, usually of the training set.
        tie: value of an independent pair: 0 as in the released code, or -1 as in the formula of the
            paper and in Hall et al.

    Returns:
        ``(T, A)`` float64: 1 if the task is more common with the attribute, -1 if less common,
        ``tie`` if independent; NaN if there are no samples.

    Raises:
        ValueError: ``tie`` is neither 0 nor -1.

    Differs from the reference: independence is tested exactly, on integers. The reference compares
    rounded floats.
    """
    if tie not in (0, -1):
        raise InputError(
            f"tie must be 0 (Wang and Russakovsky's code) or -1 (Hall et al.); got {tie}"
        )
    excess = labels.both * labels.samples - labels.task[:, None] * labels.attribute
    sign = excess.sign().double()
    return torch.where(labels.samples > 0, torch.where(sign == 0, float(tie), sign), torch.nan)


def task_change(predicted: CoOccurrence, baseline: CoOccurrence) -> Tensor:
    r"""How much more often task t is predicted than labelled, given attribute a.

    .. math:: \Delta_{ta} = P(\hat t \mid a) - P(t \mid a)

    ``(T, A)`` float64 in [-1, 1]; NaN if no sample has the attribute.
    """
    before, after = (counts.both.double() / counts.attribute for counts in (baseline, predicted))
    return after - before


def attribute_change(predicted: CoOccurrence, baseline: CoOccurrence) -> Tensor:
    r"""How much more often attribute a is predicted than labelled, given task t.

    .. math:: \Delta_{ta} = P(\hat a \mid t) - P(a \mid t)

    ``(T, A)`` float64 in [-1, 1]; NaN if no sample has the task.
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
    et al., "A Systematic Study of Bias Amplification", 2022, use the test labels as baseline and
    indicator, and ``tie=-1``.

    Args:
        predicted: counts of predicted tasks with true attributes, on the test set.
        baseline: counts of true tasks with true attributes, on the test set. The predictions are
            compared with them.
        indicator: counts of true tasks and attributes, usually of the training set. They give the
            sign y, see ``association``. ``None`` uses ``baseline``.
        tie: as in ``association``.

    Returns:
        ``(T, A)`` float64 in [-1, 1]: positive if the association grew, negative if it shrank, 0
        for no change, NaN if no sample has the attribute. ``summarise(...).mean`` is the published
        number.

    Differs from the reference: OxonFair's number of this name has the opposite sign.
    ``bias-amplification`` 0.2.1 divides by the sum over tasks. The result is the same for one label
    per image, but not for several.

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

    Arguments, source and result as in ``attribute_to_task``, except that ``predicted`` counts true
    tasks with *predicted* attributes. An entry is NaN if no sample has the task.
    """
    sign = association(baseline if indicator is None else indicator, tie=tie)
    return sign * attribute_change(predicted, baseline)


def attribute_shares(counts: CoOccurrence) -> Tensor:
    r"""Share of each attribute among the samples of each task: ``(T, A)`` float64.

    .. math:: b(t, a) = c(t, a) / \sum_{a'} c(t, a')

    The row of a task is NaN if the task never occurs with an attribute.
    """
    both = counts.both.double()
    return both / both.sum(dim=1, keepdim=True)


def mals(predicted: CoOccurrence, baseline: CoOccurrence) -> Tensor:
    r"""Growth of each attribute's share of a task, for shares above 1/A in the labels ("Men also
    like shopping").

    .. math:: 1[b_{\mathrm{base}}(t, a) > 1 / A]
              \left( b_{\mathrm{pred}}(t, a) - b_{\mathrm{base}}(t, a) \right)

    Source: Zhao et al., "Men Also Like Shopping", EMNLP 2017 (github.com/uclanlp/reducingbias),
    which keeps only tasks with more than 50 training images; the components are those of Wang and
    Russakovsky, ICML 2021.

    Args:
        predicted: counts of predicted tasks with predicted attributes. For the component from
            attributes to tasks: of predicted tasks with true attributes. For the component from
            tasks to attributes: of true tasks with predicted attributes.
        baseline: counts of the labels of the training set (or of the test set).

    Returns:
        ``(T, A)`` float64 in [-1, 1): 0 for no change, and for pairs with a share of at most 1/A in
        ``baseline``. NaN for the other pairs of a task that is never predicted. All NaN if no task
        occurs both in labels and in predictions. ``mals_mean`` is the published number.

    Differs from the reference: its value is 0 if nothing is predicted. ``bias-amplification`` 0.2.1
    uses differences of joint probabilities with the true attribute.

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
    """Sum of the table of ``mals`` divided by the number of tasks: a scalar in [-1, 1), ideal 0.

    A task that is never predicted adds 0, and counts as a task. NaN if the whole table is NaN.
    """
    return torch.where(table.isnan().all(), torch.nan, table.nansum() / len(table))


def share_bias(predicted: CoOccurrence) -> Tensor:
    r"""Mean distance of the domain shares within each predicted class from an even mix.

    .. math:: \frac{1}{TA} \sum_{t, a} \left| b_{\mathrm{pred}}(t, a) - 1 / A \right|

    Source: Wang et al., "Towards Fairness in Visual Recognition", CVPR 2020 (CIFAR-10S. The paper
    uses the first of its two domains, which gives the same value).

    Args:
        predicted: counts of predicted classes with true domains, on a test set with balanced
            domains.

    Returns:
        Scalar float64 in [0, 1/2], ideal 0; NaN if nothing is predicted. A class that is never
        predicted has shares 0, so each of its entries adds 1 / A.
    """
    table = (_shares_or_zero(predicted) - 1 / predicted.both.shape[1]).abs()
    return torch.where(predicted.both.sum() > 0, table.mean(), torch.nan)


def share_amplification(predicted: CoOccurrence, baseline: CoOccurrence) -> Tensor:
    r"""Mean distance of the domain shares within each predicted class from those in the labels.

    .. math:: \frac{1}{TA} \sum_{t, a}
              \left| b_{\mathrm{pred}}(t, a) - b_{\mathrm{base}}(t, a) \right|

    Source: Wang et al., "Towards Fairness in Visual Recognition", CVPR 2020 (CelebA, "mean bias
    amplification").

    Args:
        predicted: counts of predicted classes with true domains, on the test set.
        baseline: counts of true classes with true domains, on the training set (or the test set).

    Returns:
        Scalar float64 in [0, 1], ideal 0; NaN if predictions or labels are empty. A class that
        never occurs in one of them has shares 0 there.
    """
    table = (_shares_or_zero(predicted) - _shares_or_zero(baseline)).abs()
    observed = (predicted.both.sum() > 0) & (baseline.both.sum() > 0)
    return torch.where(observed, table.mean(), torch.nan)


def _shares_or_zero(counts: CoOccurrence) -> Tensor:
    return attribute_shares(counts).nan_to_num(nan=0.0)


def multi_mals(predicted: CoOccurrence, baseline: CoOccurrence) -> Summary:
    r"""Undirected multi-attribute amplification: growth of shares above 1/G, for label sets.

    .. math:: \frac{1}{M} \sum_{m, g} 1[b_{\mathrm{base}}(m, g) > 1 / G]
        \left| b_{\mathrm{pred}}(m, g) - b_{\mathrm{base}}(m, g) \right|

    Source: Zhao, Andrews and Xiang, ICML 2023 (github.com/SonyResearch/multi_bias_amp).

    Args:
        predicted: counts of predicted label sets with predicted groups.
        baseline: counts of the training labels, or of the test labels.

    Returns:
        Magnitude in [0, 2), ideal 0. The variance includes the zeros of pairs with a share of at
        most 1/G. NaN as in ``mals``, and if there is no label set.

    Differs from the reference: the threshold is 1 / G, as in the paper. The reference uses
    1 / (G - 1): with two groups no pair exceeds it, and its value is always 0.
    """
    table = mals(predicted, baseline)
    return Summary(mals_mean(table), mals_mean(table.abs()), summarise(table).variance)


def group_to_sets(
    predicted: CoOccurrence, baseline: CoOccurrence, indicator: CoOccurrence | None = None
) -> Summary:
    r"""Directional multi-attribute amplification from groups (attributes) to label sets.

    .. math:: \mathrm{mean}_{m, g} \left| P(\hat m \mid g) - P(m \mid g) \right|

    Source: Zhao, Andrews and Xiang, ICML 2023 (github.com/SonyResearch/multi_bias_amp).

    Args:
        predicted: counts of predicted label sets with true groups, on the test set.
        baseline: counts of true label sets with true groups: of the test set, as in the released
            code, or of the training set, as on the project's page.
        indicator: counts that give the signs of the mean, usually of the training set. ``None``
            uses ``baseline``.

    Returns:
        ``magnitude``, the formula, in [0, 1], ideal 0. ``mean``, with the signs of ``association``.
        ``variance``, of the differences before signs. All leave out groups without samples, and are
        NaN if every group is empty.
    """
    return _directed(task_change(predicted, baseline), baseline if indicator is None else indicator)


def sets_to_group(
    predicted: CoOccurrence, baseline: CoOccurrence, indicator: CoOccurrence | None = None
) -> Summary:
    r"""Directional multi-attribute amplification from label sets to groups.

    .. math:: \mathrm{mean}_{m, g} \left| P(\hat g \mid m) - P(g \mid m) \right|

    Arguments, source and result as in ``group_to_sets``, except that ``predicted`` counts true
    label sets with *predicted* groups. Label sets without samples are left out.
    """
    return _directed(
        attribute_change(predicted, baseline), baseline if indicator is None else indicator
    )


def _directed(change: Tensor, indicator: CoOccurrence) -> Summary:
    return summarise(change)._replace(mean=(association(indicator) * change).nanmean())
