"""Precision at k of predicted slices."""

import torch
from torch import Tensor

from debias.metrics.scores.ranking import average_precision


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
        target: ``(N,)`` integer class.
        bias: ``(N,)`` integer context of each sample, -1 where unknown; such samples are left out.
        minority: ``(N,)`` bool or 0/1: the samples that the shortcut misleads.
        k: length of the list.

    Returns:
        ``(E,)`` float64 in [0, 1], ideal 1, for the E groups (class, context) that have a minority
        sample, in order of class, then context. The reference reports their mean.
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


def matched_precision(probabilities: Tensor, slices: Tensor, *, k: int = 10) -> Tensor:
    """Precision at k of the predicted slice of highest average precision, for each true slice.

    Source: Eyuboglu et al., "Domino: Discovering Systematic Errors with Cross-Modal Embeddings",
    ICLR 2022, HazyResearch/domino.

    Args:
        probabilities: ``(N, S)`` float in [0, 1], probability of each predicted slice.
        slices: ``(N, T)`` bool, the true slices; a sample may be in several.
        k: length of the list; of fewer than k samples, all are read.

    Returns:
        ``(T,)`` float64 in [0, 1], ideal 1. Complements of predicted slices are candidates too; of
        equally good candidates the first is matched. NaN for a true slice without samples.
    """
    sides = torch.cat((probabilities, 1 - probabilities), dim=1)
    found = []
    for true in slices.bool().unbind(dim=1):
        ranks = torch.stack([average_precision(side, true) for side in sides.unbind(dim=1)])
        best = precision_at(sides[:, int(ranks.argmax())], true, min(k, len(true)))
        found.append(float(best) if true.any() else torch.nan)
    return torch.tensor(found, dtype=torch.float64)
