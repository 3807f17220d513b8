"""Every number of bias amplification by name, from counts or predictions; label thresholds."""

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
    task, labels = test.predicted_task, test.labels
    base = labels if train is None else train
    hall = formulas.summarise(formulas.attribute_to_task(task, labels, tie=-1)).mean
    found = {
        **_directional("attribute_to_task", formulas.attribute_to_task(task, labels, base)),
        "attribute_to_task_hall": hall,
        "mals_attribute_to_task": formulas.mals_mean(formulas.mals(task, base)),
        "share_bias": formulas.share_bias(task),
        "share_amplification": formulas.share_amplification(task, base),
    }
    if test.predicted_attribute is not None and test.predicted is not None:
        back = formulas.task_to_attribute(test.predicted_attribute, labels, base)
        found |= _directional("task_to_attribute", back)
        found["mals_task_to_attribute"] = formulas.mals_mean(
            formulas.mals(test.predicted_attribute, base)
        )
        found["mals"] = formulas.mals_mean(formulas.mals(test.predicted, base))
    return {f"amplification/{key}": value for key, value in found.items()}


def set_scalars(test: CoOccurrences, train: CoOccurrence | None = None) -> dict[str, Tensor]:
    """The multi-attribute scalars of ``AMPLIFICATION``.

    Args:
        test: counts of the evaluation set, with label sets as tasks.
        train: counts of the training labels, as in ``pair_scalars``.
    """
    base = test.labels if train is None else train
    found = {"attribute_to_task": formulas.group_to_sets(test.predicted_task, test.labels, base)}
    if test.predicted_attribute is not None and test.predicted is not None:
        found["task_to_attribute"] = formulas.sets_to_group(
            test.predicted_attribute, test.labels, base
        )
        found["mals"] = formulas.multi_mals(test.predicted, base)
    scalars = {}
    for name, value in found.items():
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
    r"""The least threshold of each label at which no more images are given the label than have it.

    .. math:: \theta_l = s_{(n_l + 1), l}, \qquad n_l = \sum_i y_{il},
              \qquad \hat y_{il} = 1[s_{il} > \theta_l]

    where :math:`s_{(k), l}` is the k-th greatest score of label l. Where no scores are equal,
    exactly as many images are given the label as have it, so that a label that is predicted too
    rarely at 0.5 does not look like bias.

    Source: Zhao, Andrews and Xiang, "Men Also Do Laundry", ICML 2023
    (github.com/SonyResearch/multi_bias_amp, ``threshold_preds``), which chooses on validation and
    predicts the test split.

    Args:
        scores: ``(N, L)`` float logits or probabilities of the validation split.
        target: ``(N, L)`` integer 0/1 labels of the same images.

    Returns:
        ``(L,)`` of the type of ``scores``; minus infinity for a label that every image has.

    Raises:
        ValueError: a shape or value is not as above, or there is no image.

    Differs from the reference: where every image has a label, its least score is the threshold
    there, and the image that has it is not given the label. Equal scores at the threshold end in an
    IndexError there where they are the greatest.

    Example:
        >>> scores = torch.tensor([[0.9], [0.4], [0.3], [0.2]])
        >>> label_thresholds(scores, torch.tensor([[1], [0], [1], [0]])).item()
        0.30000001192092896
    """
    if scores.ndim != 2 or not len(scores) or target.shape != scores.shape:
        raise InputError(
            f"scores and target must be (N, L) of at least one image; got {tuple(scores.shape)} "
            f"and {tuple(target.shape)}"
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
    """``(N, L)`` int64 0/1: which scores lie above the threshold of their label."""
    return (scores > thresholds).long()


def _directional(name: str, table: Tensor) -> dict[str, Tensor]:
    mean, magnitude, variance = formulas.summarise(table)
    return {name: mean, f"{name}_magnitude": magnitude, f"{name}_variance": variance}


def _floats(scalars: dict[str, Tensor]) -> dict[str, float]:
    return {key: value.item() for key, value in scalars.items()}
