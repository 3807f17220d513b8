"""How far an inferred grouping agrees with the true one, whatever the groups are called."""

import math

import torch
from torch import Tensor


def contingency(inferred: Tensor, true: Tensor) -> Tensor:
    """``(I, T)`` int64: how many samples each inferred group shares with each true one.

    Args:
        inferred: ``(N,)`` integer, in any numbering.
        true: ``(N,)`` integer; samples with -1 are left out.
    """
    known = true >= 0
    rows, row = torch.unique(inferred[known], return_inverse=True)
    columns, column = torch.unique(true[known], return_inverse=True)
    cells = torch.bincount(row * len(columns) + column, minlength=len(rows) * len(columns))
    return cells.reshape(len(rows), len(columns))


def hungarian_accuracy(table: Tensor) -> float:
    """Share of the samples that agree when each inferred group stands for at most one true one, in
    the best way.

    Source: Kuhn, "The Hungarian method for the assignment problem", 1955; scipy's
    ``linear_sum_assignment``.

    Args:
        table: ``(I, T)`` counts, as :func:`contingency` gives them.

    Returns:
        In [0, 1], ideal 1; NaN without samples.
    """
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(table.cpu().numpy(), maximize=True)
    return _share(table[rows, columns].sum(), table)


def purity(table: Tensor) -> float:
    """Share of the samples of their inferred group's most common true group.

    Args:
        table: ``(I, T)`` counts, as :func:`contingency` gives them.

    Returns:
        In [0, 1], ideal 1; NaN without samples.
    """
    return _share(table.amax(dim=1).sum(), table) if table.numel() else math.nan


def agreement_report(inferred: Tensor, true: Tensor) -> dict[str, float]:
    """How far two groupings agree, by seven measures.

    Source: scikit-learn's ``adjusted_rand_score``, ``adjusted_mutual_info_score``,
    ``normalized_mutual_info_score`` (arithmetic mean), ``homogeneity_score`` and
    ``completeness_score``, which are used.

    Args:
        inferred: ``(N,)`` integer, inferred groups in any numbering.
        true: ``(N,)`` integer, true groups, as ``Groups.encode`` gives them; samples with -1 are
            left out.

    Returns:
        At most 1, which is ideal; 0 on average for the adjusted ones by chance. All NaN without
        samples.
    """
    from sklearn import metrics

    known = true >= 0
    sides = (true[known].cpu().numpy(), inferred[known].cpu().numpy())
    table = contingency(inferred, true)
    scores = {
        "rand": metrics.adjusted_rand_score,
        "mutual_information_adjusted": metrics.adjusted_mutual_info_score,
        "mutual_information": metrics.normalized_mutual_info_score,
        "homogeneity": metrics.homogeneity_score,
        "completeness": metrics.completeness_score,
    }
    found = {
        name: float(score(*sides)) if len(sides[0]) else math.nan for name, score in scores.items()
    }
    found |= {"hungarian_accuracy": hungarian_accuracy(table), "purity": purity(table)}
    return {f"agreement/{name}": value for name, value in found.items()}


def environment_recovery(scores: Tensor, minority: Tensor) -> dict[str, float]:
    """How well two environments part minority and majority, by the better naming of them.

    Creager et al. (EIIL, ICML 2021) publish no score of this; it is this project's choice.

    Args:
        scores: ``(N,)`` float in [0, 1], the probability of the second environment.
        minority: ``(N,)`` bool: the samples that the shortcut misleads.

    Returns:
        ``environment/balanced_accuracy`` (of scores above 1/2) and ``environment/auroc`` in [1/2,
        1], ideal 1, the same for ``1 - scores``; NaN where there is no minority, or nothing else.
    """
    from sklearn.metrics import roc_auc_score

    minority = minority.cpu().bool()
    scores = scores.detach().cpu().double()
    if not minority.any() or minority.all():
        return {"environment/balanced_accuracy": math.nan, "environment/auroc": math.nan}
    # a score of exactly a half is in neither, so that the swap changes nothing
    chosen = (scores - 0.5).sign()
    balance = 0.5 + (chosen[minority].mean() - chosen[~minority].mean()).item() / 4
    area = float(roc_auc_score(minority.numpy(), scores.numpy()))
    return {
        "environment/balanced_accuracy": max(balance, 1 - balance),
        "environment/auroc": max(area, 1 - area),
    }


def _share(agreeing: Tensor, table: Tensor) -> float:
    return agreeing.item() / int(table.sum()) if int(table.sum()) else math.nan
