"""Agreement of inferred groups with true groups. The numbering of the groups does not matter."""

import math

import torch
from torch import Tensor


def contingency(inferred: Tensor, true: Tensor) -> Tensor:
    """Contingency table ``(I, T)`` int64: samples of each pair of inferred and true group.

    Args:
        inferred: ``(N,)`` integer inferred group, in any numbering.
        true: ``(N,)`` integer true group. Samples with a negative number are left out.
    """
    known = true >= 0
    rows, row = torch.unique(inferred[known], return_inverse=True)
    columns, column = torch.unique(true[known], return_inverse=True)
    cells = torch.bincount(row * len(columns) + column, minlength=len(rows) * len(columns))
    return cells.reshape(len(rows), len(columns))


def hungarian_accuracy(table: Tensor) -> float:
    """Share of correct samples under the best one-to-one assignment of inferred to true groups.

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
    """Share of samples whose true group is the most common one of their inferred group.

    Args:
        table: ``(I, T)`` counts, as :func:`contingency` gives them.

    Returns:
        In [0, 1], ideal 1; NaN without samples.
    """
    return _share(table.amax(dim=1).sum(), table) if table.numel() else math.nan


def agreement_report(inferred: Tensor, true: Tensor) -> dict[str, float]:
    """Compute seven scores of agreement between inferred and true groups.

    Source: five functions of scikit-learn, which are called: ``adjusted_rand_score``,
    ``adjusted_mutual_info_score``, ``normalized_mutual_info_score`` (arithmetic mean),
    ``homogeneity_score`` and ``completeness_score``. The others are ``hungarian_accuracy`` and
    ``purity``.

    Args:
        inferred: ``(N,)`` integer inferred groups, in any numbering.
        true: ``(N,)`` integer true groups from ``Groups.encode``. Samples with -1 are left out.

    Returns:
        Scores by key, at most 1, ideal 1. The two adjusted scores are 0 on average for random
        groups. All are NaN without samples.
    """
    from sklearn import metrics

    known = true >= 0
    labellings = (true[known].cpu().numpy(), inferred[known].cpu().numpy())
    table = contingency(inferred, true)
    functions = {
        "rand": metrics.adjusted_rand_score,
        "mutual_information_adjusted": metrics.adjusted_mutual_info_score,
        "mutual_information": metrics.normalized_mutual_info_score,
        "homogeneity": metrics.homogeneity_score,
        "completeness": metrics.completeness_score,
    }
    scores = {
        name: float(score(*labellings)) if bool(known.any()) else math.nan
        for name, score in functions.items()
    }
    scores |= {"hungarian_accuracy": hungarian_accuracy(table), "purity": purity(table)}
    return {f"agreement/{name}": value for name, value in scores.items()}


def environment_recovery(scores: Tensor, minority: Tensor) -> dict[str, float]:
    """How well two inferred environments separate the minority from the majority.

    Either environment may be the minority: the better assignment counts. Creager et al. (EIIL, ICML
    2021) publish no such score; these two are the choice of this project.

    Args:
        scores: ``(N,)`` float in [0, 1], the probability of the second environment.
        minority: ``(N,)`` bool: whether the shortcut misleads on the sample.

    Returns:
        ``environment/balanced_accuracy``, with a threshold of 1/2, and ``environment/auroc``. Both
        are in [1/2, 1], ideal 1, and equal for ``scores`` and ``1 - scores``. NaN if all samples or
        none are minority.
    """
    from sklearn.metrics import roc_auc_score

    minority = minority.cpu().bool()
    scores = scores.detach().cpu().double()
    if not minority.any() or minority.all():
        return {"environment/balanced_accuracy": math.nan, "environment/auroc": math.nan}
    # a score of exactly 1/2 counts half for each environment: the result stays symmetric
    chosen = (scores - 0.5).sign()
    balance = 0.5 + (chosen[minority].mean() - chosen[~minority].mean()).item() / 4
    area = float(roc_auc_score(minority.numpy(), scores.numpy()))
    return {
        "environment/balanced_accuracy": max(balance, 1 - balance),
        "environment/auroc": max(area, 1 - area),
    }


def _share(agreeing: Tensor, table: Tensor) -> float:
    return agreeing.item() / int(table.sum()) if int(table.sum()) else math.nan
