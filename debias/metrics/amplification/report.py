"""All scalars of bias amplification, from counts or predictions, and label thresholds."""

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.accuracy.counts import Margins, margin_counts
from debias.metrics.amplification import formulas
from debias.metrics.amplification.counts import (
    CoOccurrence,
    CoOccurrences,
    co_occurrences,
    frequency_co_occurrence,
    label_sets,
    observed_sets,
    one_hot,
    set_co_occurrence,
)
from debias.types import Groups


def amplification_scalars(
    counts: Tensor | Margins,
    groups: Groups,
    train_frequencies: Tensor | None = None,
    attribute_counts: Tensor | Margins | None = None,
) -> dict[str, Tensor]:
    """The scalars of bias amplification, without the multi-attribute ones.

    Args:
        counts: result of ``margin_counts`` or ``joint_counts``.
        groups: names and numbering of the groups.
        train_frequencies: ``(groups.count,)`` training samples of each group. They give the signs
            of the associations and the shares before amplification. ``None`` uses ``counts``.
        attribute_counts: the same counts with the *predicted* bias attribute in place of the true
            one. Without them the keys that need predictions of the attribute are absent.

    Returns:
        float64 scalars by key, as in ``pair_scalars``.
    """
    train = None
    if train_frequencies is not None:
        train = frequency_co_occurrence(train_frequencies, groups)
    return pair_scalars(co_occurrences(counts, groups, attribute_counts), train)


def pair_scalars(test: CoOccurrences, train: CoOccurrence | None = None) -> dict[str, Tensor]:
    """The scalars of bias amplification for single tasks.

    Args:
        test: counts of the evaluation set.
        train: counts of the training labels. They give the signs of the associations and the shares
            before amplification. ``None`` uses the labels of the evaluation set.

    Returns:
        float64 scalars with fixed keys. The keys that need predictions of the attribute are present
        only if ``test`` has such predictions.
    """
    task, labels = test.predicted_task, test.labels
    base = labels if train is None else train
    hall = formulas.summarise(formulas.attribute_to_task(task, labels, tie=-1)).mean
    scalars = {
        **_directional("attribute_to_task", formulas.attribute_to_task(task, labels, base)),
        "attribute_to_task_hall": hall,
        "mals_attribute_to_task": formulas.mals_mean(formulas.mals(task, base)),
        "share_bias": formulas.share_bias(task),
        "share_amplification": formulas.share_amplification(task, base),
    }
    if test.predicted_attribute is not None and test.predicted is not None:
        back = formulas.task_to_attribute(test.predicted_attribute, labels, base)
        scalars |= _directional("task_to_attribute", back)
        scalars["mals_task_to_attribute"] = formulas.mals_mean(
            formulas.mals(test.predicted_attribute, base)
        )
        scalars["mals"] = formulas.mals_mean(formulas.mals(test.predicted, base))
    return {f"amplification/{key}": value for key, value in scalars.items()}


def set_scalars(test: CoOccurrences, train: CoOccurrence | None = None) -> dict[str, Tensor]:
    """The multi-attribute scalars of bias amplification.

    Args:
        test: counts of the evaluation set, with label sets as tasks.
        train: counts of the training labels, as in ``pair_scalars``.

    Returns:
        float64 scalars: the magnitude, the signed mean and the variance of each formula.
    """
    base = test.labels if train is None else train
    summaries = {
        "attribute_to_task": formulas.group_to_sets(test.predicted_task, test.labels, base)
    }
    if test.predicted_attribute is not None and test.predicted is not None:
        summaries["task_to_attribute"] = formulas.sets_to_group(
            test.predicted_attribute, test.labels, base
        )
        summaries["mals"] = formulas.multi_mals(test.predicted, base)
    scalars = {}
    for name, value in summaries.items():
        scalars[f"amplification/multi_{name}"] = value.magnitude
        scalars[f"amplification/multi_{name}_signed"] = value.mean
        scalars[f"amplification/multi_{name}_variance"] = value.variance
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
    """Compute ``amplification_scalars`` from predictions, as plain floats.

    Args:
        prediction, target, bias, groups: as in ``joint_counts``.
        train_frequencies: ``(groups.count,)`` training samples of each group.
        predicted_bias: ``(N,)`` integer in [0, biases), the bias attribute as any model predicts
            it.

    Raises:
        ValueError: a shape or dtype is not as above, or a value is out of range.
    """
    counts, attribute_counts = margin_counts(prediction, target, bias, groups), None
    if predicted_bias is not None:
        predicted_bias = torch.where(bias < 0, -1, predicted_bias)
        attribute_counts = margin_counts(prediction, target, predicted_bias, groups)
    return _floats(amplification_scalars(counts, groups, train_frequencies, attribute_counts))


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
    """Compute ``set_scalars`` from multi-label predictions, as plain floats. All are NaN if no
    label set of the training set occurs in the test set.

    Args:
        prediction, target: ``(N, L)`` 0/1 labels of the test set.
        bias: ``(N,)`` integer in [0, biases), or -1 if unknown.
        groups: multi-label groups.
        train_target, train_bias: labels and bias values of the training set, which gives the label
            sets.
        predicted_bias: ``(N,)`` as in ``amplification_report``.
        min_size, more_than: which label sets count, see ``label_sets`` and ``observed_sets``.

    Raises:
        ValueError: a shape is not as above, a value is out of range, or ``min_size`` is below 1.
    """
    attributes, tasks = [one_hot(bias, groups.biases)], [target, prediction]
    if predicted_bias is not None:
        attributes.append(one_hot(torch.where(bias < 0, -1, predicted_bias), groups.biases))
    sets = label_sets(train_target, min_size=min_size, more_than=more_than)
    sets = observed_sets(sets, target, attributes[0], more_than=more_than)
    test = CoOccurrences(
        *(set_co_occurrence(task, attribute, sets) for attribute in attributes for task in tasks)
    )
    train = set_co_occurrence(train_target, one_hot(train_bias, groups.biases), sets)
    return _floats(set_scalars(test, train))


def label_thresholds(scores: Tensor, target: Tensor) -> Tensor:
    r"""The lowest threshold per label at which predicted positives do not outnumber true positives.

    .. math:: \theta_l = s_{(n_l + 1), l}, \qquad n_l = \sum_i y_{il},
              \qquad \hat y_{il} = 1[s_{il} > \theta_l]

    where :math:`s_{(k), l}` is the k-th greatest score of label l. If no scores are equal, a label
    is predicted for exactly as many images as have it. A label that is predicted too rarely at 0.5
    then does not look like bias.

    Source: Zhao, Andrews and Xiang, "Men Also Do Laundry", ICML 2023
    (github.com/SonyResearch/multi_bias_amp, ``threshold_preds``). It chooses thresholds on the
    validation split and applies them to the test split.

    Args:
        scores: ``(N, L)`` float logits or probabilities of the validation split.
        target: ``(N, L)`` integer 0/1 labels of the same images.

    Returns:
        ``(L,)`` of the type of ``scores``; minus infinity for a label that every image has.

    Raises:
        ValueError: a shape is not as above, a target is not integer 0 or 1, or there is no image.

    Differs from the reference: if every image has a label, the reference uses the lowest score as
    threshold, and does not predict the label for that image. If the scores tied at the threshold
    are the greatest ones, the reference fails with an IndexError.

    Example:
        >>> scores = torch.tensor([[0.9], [0.4], [0.3], [0.2]])
        >>> label_thresholds(scores, torch.tensor([[1], [0], [1], [0]])).item()
        0.30000001192092896
    """
    if scores.ndim != 2 or not len(scores) or target.shape != scores.shape:
        raise InputError(
            f"scores and target must be (N, L) with N >= 1; got {tuple(scores.shape)} and "
            f"{tuple(target.shape)}"
        )
    if target.is_floating_point() or bool(((target != 0) & (target != 1)).any()):
        raise InputError(
            f"target must hold integers 0 and 1; got {target.dtype} from {target.min()} to "
            f"{target.max()}"
        )
    lowest = torch.full_like(scores[:1], -torch.inf)
    ordered = torch.cat((scores.sort(dim=0, descending=True).values, lowest))
    return ordered.gather(0, target.sum(dim=0, keepdim=True).long())[0]


def above(scores: Tensor, thresholds: Tensor) -> Tensor:
    """Whether each score is above the threshold of its label: ``(N, L)`` int64 0/1."""
    return (scores > thresholds).long()


def _directional(name: str, table: Tensor) -> dict[str, Tensor]:
    mean, magnitude, variance = formulas.summarise(table)
    return {name: mean, f"{name}_magnitude": magnitude, f"{name}_variance": variance}


def _floats(scalars: dict[str, Tensor]) -> dict[str, float]:
    return {key: value.item() for key, value in scalars.items()}
