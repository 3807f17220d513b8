"""Bias amplification: is a model's use of an attribute stronger than the data's? Zero is no change.

Every measure is a ``(T, A)`` table, one entry per task and attribute, and a mean over it. All of
them compare co-occurrences, so none sees amplification that starts from data in which task and
attribute are independent.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.amplification.counts import CoOccurrence


class Summary(NamedTuple):
    """Three float64 scalars of the defined entries: mean, mean magnitude, variance."""

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
    return _task_given_attribute(predicted) - _task_given_attribute(baseline)


def attribute_change(predicted: CoOccurrence, baseline: CoOccurrence) -> Tensor:
    r"""``(T, A)`` float64 in [-1, 1]: how much more often attributes are predicted where a task is,
    than they are so.

    .. math:: \Delta_{ta} = P(\hat a \mid t) - P(a \mid t)

    NaN where nothing has the task.
    """
    return _attribute_given_task(predicted) - _attribute_given_task(baseline)


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


def _task_given_attribute(counts: CoOccurrence) -> Tensor:
    return counts.both.double() / counts.attribute.double()


def _attribute_given_task(counts: CoOccurrence) -> Tensor:
    return counts.both.double() / counts.task.double()[:, None]
