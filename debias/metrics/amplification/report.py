"""Every number of bias amplification under its name, from counts or from predictions."""

from __future__ import annotations

import torch
from torch import Tensor

from debias.metrics.accuracy.counts import Margins, margin_counts
from debias.metrics.amplification.counts import (
    CoOccurrence,
    CoOccurrences,
    co_occurrence,
    co_occurrences,
    frequency_co_occurrence,
    one_hot,
)
from debias.metrics.amplification.formulas import attribute_to_task, summarise, task_to_attribute
from debias.metrics.amplification.sets import (
    group_to_sets,
    label_sets,
    multi_mals,
    observed_sets,
    set_co_occurrence,
    sets_to_group,
)
from debias.metrics.amplification.shares import mals, mals_mean, share_amplification, share_bias
from debias.types import Groups


def amplification_scalars(
    counts: Tensor | Margins,
    groups: Groups,
    train_frequencies: Tensor | None = None,
    attribute_counts: Tensor | Margins | None = None,
) -> dict[str, Tensor]:
    """The scalars of ``AMPLIFICATION`` but for the multi-attribute ones.

    Args:
        counts: as ``margin_counts`` or ``joint_counts`` returns them.
        groups: names and numbering of the groups.
        train_frequencies: ``(groups.count,)`` training samples of each group, which say what goes
            together and from what shares amplification starts; without them the counts do.
        attribute_counts: the same counts with the *predicted* bias attribute in place of the true
            one; the keys that need predictions of the attribute are there only with them.
    """
    train = None
    if train_frequencies is not None:
        train = frequency_co_occurrence(train_frequencies, groups)
    return pair_scalars(co_occurrences(counts, groups, attribute_counts), train)


def pair_scalars(test: CoOccurrences, train: CoOccurrence | None = None) -> dict[str, Tensor]:
    """The scalars of ``AMPLIFICATION`` of single tasks.

    Args:
        test: counts of the evaluation set.
        train: counts of the training labels, which say what goes together and from what shares
            amplification starts; without them the test labels do.

    Returns:
        float64 scalars under fixed keys; those that need predictions of the attribute are there if
        ``test`` has them.
    """
    labels, base = test.labels, test.labels if train is None else train
    scalars = {
        **_directional("attribute_to_task", attribute_to_task(test.predicted_task, labels, base)),
        "amplification/attribute_to_task_hall": summarise(
            attribute_to_task(test.predicted_task, labels, tie=-1)
        ).mean,
        "amplification/mals_attribute_to_task": mals_mean(mals(test.predicted_task, base)),
        "amplification/share_bias": share_bias(test.predicted_task),
        "amplification/share_amplification": share_amplification(test.predicted_task, base),
    }
    if test.predicted_attribute is not None and test.predicted is not None:
        scalars |= {
            **_directional(
                "task_to_attribute", task_to_attribute(test.predicted_attribute, labels, base)
            ),
            "amplification/mals_task_to_attribute": mals_mean(mals(test.predicted_attribute, base)),
            "amplification/mals": mals_mean(mals(test.predicted, base)),
        }
    return scalars


def set_scalars(
    test: CoOccurrences, train: CoOccurrence | None = None, *, more_than: int = 0
) -> dict[str, Tensor]:
    """The multi-attribute scalars of ``AMPLIFICATION``.

    Args:
        test: counts of the evaluation set, with label sets as tasks.
        train: counts of the training labels, as in ``pair_scalars``.
        more_than: sets are left out unless more than so many test images have them.
    """
    test, base = observed_sets(test, test.labels if train is None else train, more_than)
    found = {"multi_attribute_to_task": group_to_sets(test.predicted_task, test.labels, base)}
    if test.predicted_attribute is not None and test.predicted is not None:
        found["multi_task_to_attribute"] = sets_to_group(
            test.predicted_attribute, test.labels, base
        )
        found["multi_mals"] = multi_mals(test.predicted, base)
    scalars = {}
    for name, value in found.items():
        scalars[f"amplification/{name}"] = value.magnitude
        scalars[f"amplification/{name}_signed"] = value.signed
        scalars[f"amplification/{name}_variance"] = value.variance
    return scalars


def amplification_report(
    prediction: Tensor,
    target: Tensor,
    bias: Tensor,
    groups: Groups,
    *,
    train_frequencies: Tensor | None = None,
    predicted_bias: Tensor | None = None,
) -> dict[str, float]:
    """``amplification_scalars`` of a set of predictions, as plain floats.

    Args:
        prediction, target, bias, groups: as in ``joint_counts``.
        train_frequencies: ``(groups.count,)`` training samples of each group.
        predicted_bias: ``(N,)`` integer in [0, biases), the bias attribute that some model
            predicts.

    Raises:
        ValueError: a shape, dtype or value is not as above.
    """
    counts, others = margin_counts(prediction, target, bias, groups), None
    if predicted_bias is not None:
        predicted_bias = torch.where(bias < 0, -1, predicted_bias)
        others = margin_counts(prediction, target, predicted_bias, groups)
    return _floats(amplification_scalars(counts, groups, train_frequencies, others))


def multi_attribute_report(
    prediction: Tensor,
    target: Tensor,
    bias: Tensor,
    groups: Groups,
    *,
    train_target: Tensor,
    train_bias: Tensor,
    predicted_bias: Tensor | None = None,
    min_size: int = 1,
    more_than: int = 0,
) -> dict[str, float]:
    """``set_scalars`` of multi-label predictions, as plain floats; NaN if no training label set
    occurs in the test set.

    Args:
        prediction, target: ``(N, L)`` 0/1.
        bias: ``(N,)`` integer in [0, biases), or -1 where unknown.
        groups: multi-label groups.
        train_target, train_bias: the same of the training set, whose label sets are looked at.
        predicted_bias: ``(N,)`` as in ``amplification_report``.
        min_size, more_than: which label sets, see ``label_sets`` and ``observed_sets``.

    Raises:
        ValueError: a shape or value is not as above.
    """
    sets = label_sets(train_target, min_size=min_size, more_than=more_than)
    attribute, pairs = one_hot(bias, groups.biases), [target, prediction]
    for task in pairs:
        co_occurrence(task, attribute)  # refuses what is not 0/1
    columns = [attribute]
    if predicted_bias is not None:
        columns.append(one_hot(torch.where(bias < 0, -1, predicted_bias), groups.biases))
    test = CoOccurrences(
        *(set_co_occurrence(task, column, sets) for column in columns for task in pairs)
    )
    train = set_co_occurrence(train_target, one_hot(train_bias, groups.biases), sets)
    return _floats(set_scalars(test, train, more_than=more_than))


def _directional(name: str, table: Tensor) -> dict[str, Tensor]:
    mean, magnitude, variance = summarise(table)
    key = f"amplification/{name}"
    return {key: mean, f"{key}_magnitude": magnitude, f"{key}_variance": variance}


def _floats(scalars: dict[str, Tensor]) -> dict[str, float]:
    return {key: value.item() for key, value in scalars.items()}
