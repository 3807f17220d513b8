"""Ranked lists that should begin with the minority: precision at k, and slices."""

from typing import NamedTuple

import torch
from torch import Tensor

from debias.metrics.scores.ranking import average_precision


class Retrieval(NamedTuple):
    """Retrieval of the minority of each class by a score.

    Attributes:
        overall: average precision over all samples together.
        average_precision: ``(E,)`` of the class's minority, for each group (class, context) of a
            minority.
        slice_precision: ``(E,)`` share of this one group among the k samples of its class that are
            scored highest.
    """

    overall: Tensor
    average_precision: Tensor
    slice_precision: Tensor


class SliceMatch(NamedTuple):
    """``(T,)`` float64 each: how well the best slice, or a complement, fits each true one."""

    average_precision: Tensor
    precision_at_10: Tensor
    precision_at_25: Tensor
    precision: Tensor
    recall: Tensor
    f1: Tensor


def precision_at(scores: Tensor, relevant: Tensor, k: int) -> Tensor:
    """Share of relevant ones among the k samples that are scored highest; a list shorter than k
    still counts as k.

    Args:
        scores: ``(N,)`` float; of equal scores the earlier sample comes first.
        relevant: ``(N,)`` bool.
        k: how many are looked at, at least 1.

    Returns:
        float64 in [0, 1], ideal 1.
    """
    return relevant[scores.argsort(descending=True, stable=True)[:k]].sum().double() / k


def minority_retrieval(
    scores: Tensor, target: Tensor, bias: Tensor, minority: Tensor, *, k: int = 10
) -> Retrieval:
    """How well a score such as 1 - confidence puts the minority of each class first.

    Source: Yenamandra et al., "FACTS: First Amplify Correlations and Then Slice", ICCV 2023,
    yvsriram/FACTS.

    Args:
        scores: ``(N,)`` float, high for those taken to be of a minority.
        target: ``(N,)`` integer class.
        bias: ``(N,)`` integer context of each sample, -1 where unknown: such samples count nowhere.
        minority: ``(N,)`` bool or 0/1: the samples that the shortcut misleads.
        k: length of the list.

    Returns:
        In [0, 1], ideal 1. E counts the groups (class, context) with a sample of the minority, in
        order of class, then context; the reference averages over these. NaN or empty where there is
        no minority.
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
    """How much higher a value, such as confidence, is in the majority: mean over classes.

    Source: Yenamandra et al., "FACTS", ICCV 2023, yvsriram/FACTS.

    Args:
        values: ``(N,)`` numbers, one a sample.
        target: ``(N,)`` integer class.
        minority: ``(N,)`` bool or 0/1: the samples that the shortcut misleads.

    Returns:
        float64: the difference of the two sides' means, in the unit of the values. A class that
        lacks a side is left out; NaN if none is left.
    """
    values, minority = values.double(), minority.bool()
    classes = [target == one for one in torch.unique(target)]
    gaps = [values[one & ~minority].mean() - values[one & minority].mean() for one in classes]
    return values.new_tensor(gaps).nanmean()


def slice_precision(
    probabilities: Tensor, target: Tensor, bias: Tensor, minority: Tensor, *, k: int = 10
) -> Tensor:
    """For each true minority group, the precision at k of the predicted slice that holds it best.

    In each class, a sample belongs to its most probable slice; a slice is sorted by that
    probability, and its first k are looked at, of which a slice shorter than k lacks some.

    Source: Yenamandra et al., "FACTS", ICCV 2023, yvsriram/FACTS.

    Args:
        probabilities: ``(N, S)`` float, of each slice.
        target, bias, minority, k: as in :func:`minority_retrieval`.

    Returns:
        ``(E,)`` float64 in [0, 1], ideal 1, groups as in :func:`minority_retrieval`; the reference
        gives their mean.
    """
    known = bias >= 0
    (strength, chosen), target, bias = probabilities[known].max(dim=1), target[known], bias[known]
    found = []
    for one, context in torch.unique(
        torch.stack((target, bias), dim=1)[minority[known].bool()], dim=0
    ):
        slices = [(target == one) & (chosen == index) for index in range(probabilities.shape[1])]
        found.append(
            torch.stack(
                [precision_at(strength[part], bias[part] == context, k) for part in slices]
            ).amax()
        )
    return torch.stack(found) if found else torch.empty(0, dtype=torch.float64)


def slice_match(
    probabilities: Tensor, slices: Tensor, *, predicted: Tensor | None = None
) -> SliceMatch:
    """For each true slice, the scores of the predicted slice with the best average precision.

    Source: Eyuboglu et al., "Domino: Discovering Systematic Errors with Cross-Modal Embeddings",
    ICLR 2022, HazyResearch/domino.

    Args:
        probabilities: ``(N, S)`` float in [0, 1], of each predicted slice.
        slices: ``(N, T)`` bool, the true slices; a sample may be in many.
        predicted: ``(N, S)`` bool, the predicted slices; the probabilities above 1/2 if not given.

    Returns:
        ``(T,)`` float64 each, in [0, 1], ideal 1; the first of equally good slices. Precision of an
        empty prediction is 0, as in the reference. All NaN for a true slice without samples.
        Precision at k divides by the number of samples where these are fewer.
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
    """``(6,)`` in the order of :class:`SliceMatch`."""
    if not true.any():
        return torch.full((6,), torch.nan, dtype=torch.float64)
    ranks = torch.stack([average_precision(column, true) for column in probabilities.unbind(dim=1)])
    best = int(ranks.argmax())
    tops = [precision_at(probabilities[:, best], true, min(k, len(true))) for k in (10, 25)]
    chosen = predicted[:, best]
    both, size, rare = ((chosen & true).sum().double(), chosen.sum(), true.sum())
    return torch.stack(
        [ranks[best], *tops, both / size.clamp(min=1), both / rare, 2 * both / (size + rare)]
    )
