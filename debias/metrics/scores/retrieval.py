"""Retrieval of minority groups by a score, and comparison of predicted with true slices."""

from typing import NamedTuple

import torch
from torch import Tensor

from debias.metrics.scores.ranking import average_precision


class Retrieval(NamedTuple):
    """How well a score retrieves the minority samples, with E minority groups (class, bias value).

    Attributes:
        overall: average precision of the minority over all samples together.
        average_precision: ``(E,)`` for each group, the average precision of all minority samples
            of its class among the samples of that class.
        slice_precision: ``(E,)`` share of each group among the k highest-scored samples of its
            class.
    """

    overall: Tensor
    average_precision: Tensor
    slice_precision: Tensor


class SliceMatch(NamedTuple):
    """``(T,)`` float64 each: agreement of each true slice with the best predicted slice for it.

    The complement of a predicted slice may be the best too.
    """

    average_precision: Tensor
    precision_at_10: Tensor
    precision_at_25: Tensor
    precision: Tensor
    recall: Tensor
    f1: Tensor


def precision_at(scores: Tensor, relevant: Tensor, k: int) -> Tensor:
    """Precision at k: the share of relevant samples among the k of highest score.

    If there are fewer than k samples, the number of relevant ones is still divided by k.

    Args:
        scores: ``(N,)`` float; of equal scores the earlier sample comes first.
        relevant: ``(N,)`` bool.
        k: length of the list, at least 1.

    Returns:
        float64 in [0, 1], ideal 1.
    """
    return relevant[scores.argsort(descending=True, stable=True)[:k]].sum().double() / k


def minority_retrieval(
    scores: Tensor, target: Tensor, bias: Tensor, minority: Tensor, *, k: int = 10
) -> Retrieval:
    """How well a score, such as 1 - confidence, ranks the minority of each class first.

    Source: Yenamandra et al., "FACTS: First Amplify Correlations and Then Slice", ICCV 2023,
    yvsriram/FACTS.

    Args:
        scores: ``(N,)`` float; a higher score marks a likely minority sample.
        target: ``(N,)`` integer class.
        bias: ``(N,)`` integer context of each sample, -1 where unknown; such samples are left out.
        minority: ``(N,)`` bool or 0/1: the samples that the shortcut misleads.
        k: length of the list.

    Returns:
        Values in [0, 1], ideal 1, for the E groups (class, context) that have a minority sample, in
        order of class, then context. The reference averages over these groups. Without a minority,
        ``overall`` is NaN and the other tensors are empty.
    """
    known = bias >= 0
    scores, target, bias, minority = (column[known] for column in (scores, target, bias, minority))
    minority = minority.bool()
    groups = torch.stack((target, bias), dim=1)[minority]
    ranks, slices = [], []
    for one, context in torch.unique(groups, dim=0):
        inside = target == one
        ranks.append(average_precision(scores[inside], minority[inside]))
        slices.append(precision_at(scores[inside], bias[inside] == context, k))
    none = torch.empty(0, dtype=torch.float64)
    overall = average_precision(scores, minority)
    return Retrieval(
        overall, torch.stack(ranks) if ranks else none, torch.stack(slices) if slices else none
    )


def minority_gap(values: Tensor, target: Tensor, minority: Tensor) -> Tensor:
    """Majority mean minus minority mean of a value such as confidence, averaged over classes.

    Source: Yenamandra et al., "FACTS", ICCV 2023, yvsriram/FACTS.

    Args:
        values: ``(N,)`` numbers, one per sample.
        target: ``(N,)`` integer class.
        minority: ``(N,)`` bool or 0/1: the samples that the shortcut misleads.

    Returns:
        Scalar float64, in the unit of the values. A class without majority or without minority is
        left out; NaN if no class is left.
    """
    values, minority = values.double(), minority.bool()
    classes = [target == one for one in torch.unique(target)]
    gaps = [values[one & ~minority].mean() - values[one & minority].mean() for one in classes]
    return values.new_tensor(gaps).nanmean()


def slice_precision(
    probabilities: Tensor, target: Tensor, bias: Tensor, minority: Tensor, *, k: int = 10
) -> Tensor:
    """For each true minority group, the highest precision at k among the predicted slices.

    In each class, a sample belongs to its most probable slice. A slice is sorted by that
    probability, and precision is computed on its first k samples. A slice of fewer than k samples
    is still divided by k.

    Source: Yenamandra et al., "FACTS", ICCV 2023, yvsriram/FACTS.

    Args:
        probabilities: ``(N, S)`` float, probability of each predicted slice.
        target, bias, minority, k: as in :func:`minority_retrieval`.

    Returns:
        ``(E,)`` float64 in [0, 1], ideal 1, for the groups of :func:`minority_retrieval`. The
        reference reports their mean.
    """
    known = bias >= 0
    (strength, chosen), target, bias = probabilities[known].max(dim=1), target[known], bias[known]
    precisions = []
    for one, context in torch.unique(
        torch.stack((target, bias), dim=1)[minority[known].bool()], dim=0
    ):
        slices = [(target == one) & (chosen == index) for index in range(probabilities.shape[1])]
        precisions.append(
            torch.stack(
                [precision_at(strength[part], bias[part] == context, k) for part in slices]
            ).amax()
        )
    return torch.stack(precisions) if precisions else torch.empty(0, dtype=torch.float64)


def slice_match(
    probabilities: Tensor, slices: Tensor, *, predicted: Tensor | None = None
) -> SliceMatch:
    """Match each true slice with the predicted slice of highest average precision, and score it.

    Source: Eyuboglu et al., "Domino: Discovering Systematic Errors with Cross-Modal Embeddings",
    ICLR 2022, HazyResearch/domino.

    Args:
        probabilities: ``(N, S)`` float in [0, 1], probability of each predicted slice.
        slices: ``(N, T)`` bool, the true slices; a sample may be in several.
        predicted: ``(N, S)`` bool, the predicted slices; by default the probabilities above 1/2.

    Returns:
        ``(T,)`` float64 each, in [0, 1], ideal 1. Complements of predicted slices are candidates
        too; of equally good candidates the first is matched. The precision of an empty slice is 0,
        as in the reference. With fewer than k samples, precision at k divides by their number. All
        NaN for a true slice without samples.
    """
    predicted = probabilities > 0.5 if predicted is None else predicted.bool()
    sides = (
        torch.cat((probabilities, 1 - probabilities), dim=1),
        torch.cat((predicted, ~predicted), dim=1),
    )
    rows = [_best_match(*sides, slices[:, index].bool()) for index in range(slices.shape[1])]
    return (
        SliceMatch(*torch.stack(rows, dim=1))
        if rows
        else SliceMatch(*torch.empty(6, 0, dtype=torch.float64))
    )


def _best_match(probabilities: Tensor, predicted: Tensor, true: Tensor) -> Tensor:
    """The best match of one true slice: ``(6,)`` scores in the order of :class:`SliceMatch`."""
    if not true.any():
        return torch.full((6,), torch.nan, dtype=torch.float64)
    ranks = torch.stack([average_precision(column, true) for column in probabilities.unbind(dim=1)])
    best = int(ranks.argmax())
    tops = [precision_at(probabilities[:, best], true, min(k, len(true))) for k in (10, 25)]
    chosen = predicted[:, best]
    both, size, true_size = ((chosen & true).sum().double(), chosen.sum(), true.sum())
    precision, recall = both / size.clamp(min=1), both / true_size
    return torch.stack([ranks[best], *tops, precision, recall, 2 * both / (size + true_size)])
