"""How well scores rank positives over negatives, within and across bias values.

All numbers are exact, and ties count half. The functions work on one outcome: a class against the
rest, or a label. ``score_columns`` returns the outcomes of a data set.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError
from debias.types import Groups


class Wins(NamedTuple):
    """Counts of pairs in which a positive scores higher than a negative: enough for every AUROC.

    Attributes:
        halves: ``(biases, biases)`` int64. Entry (k, l) is about pairs of a positive of bias value
            k and a negative of l: 2 for each pair in which the positive scores higher, and 1 for
            each tie.
        positives: ``(biases,)`` int64, number of positives of each bias value.
        negatives: ``(biases,)`` int64, number of negatives of each bias value.
    """

    halves: Tensor
    positives: Tensor
    negatives: Tensor


class BorkanAUC(NamedTuple):
    """Borkan's three AUROCs for each bias value, each ``(biases,)`` float64 in [0, 1], 1 ideal.

    An AUROC without a positive or without a negative is NaN.

    Attributes:
        subgroup: positives against negatives of the bias value.
        bpsn: positives of other bias values against negatives of this one; low if the scores of
            these negatives are too high.
        bnsp: negatives of other bias values against positives of this one; low if the scores of
            these positives are too low.
    """

    subgroup: Tensor
    bpsn: Tensor
    bnsp: Tensor


def score_columns(scores: Tensor, target: Tensor, groups: Groups) -> tuple[Tensor, Tensor]:
    """Scores and truth of each outcome, in the order of ``outcome_names``.

    Args:
        scores: ``(N, outputs)`` float, logits or probabilities; higher is more likely. With two
            classes, only the score of the second is used. Give probabilities then, because the
            second logit alone ranks differently from the difference of the two logits.
        target: ``(N,)`` integer class in [0, rows), or ``(N, L)`` 0/1 when multi-label.
        groups: names and numbering of the groups.

    Returns:
        ``(outcomes, N)`` float64 scores, and ``(outcomes, N)`` bool, true for positives.

    Raises:
        ValueError: the scores are not as above, or one is NaN.
    """
    check_scores(scores, target, groups)
    if bool(scores.isnan().any()):
        raise InputError("scores hold NaN, which has no rank: check whether the model diverged")
    columns = scores.T.double()
    if groups.multi_label:
        return columns, target.T == 1
    hits = target == torch.arange(groups.rows, device=target.device)[:, None]
    return (columns[1:], hits[1:]) if groups.rows == 2 else (columns, hits)


def log_odds(logits: Tensor) -> Tensor:
    r"""Log-odds of each class, :math:`z_k - \log \sum_{j \neq k} \exp z_j`.

    They rank as the softmax does. They also differ where the softmax rounds to 1.

    Args:
        logits: ``(N, C)`` float, C at least 2.

    Example:
        >>> log_odds(torch.tensor([[0.0, 40.0], [0.0, 41.0]])).tolist()
        [[-40.0, 40.0], [-41.0, 41.0]]
    """
    top = logits.argmax(dim=1, keepdim=True)
    others = logits.scatter(1, top, -torch.inf).logsumexp(dim=1, keepdim=True)
    log = logits.log_softmax(dim=1)
    # exact for a probability of at most 1/2, as of every class but the greatest
    return (log - (-log.exp()).log1p()).scatter(1, top, logits.gather(1, top) - others)


def check_scores(scores: Tensor, samples: Tensor, groups: Groups) -> None:
    """Raise an error unless scores are ``(N, outputs)`` floats for N samples.

    Raises:
        ValueError: the shape differs, or the scores are not floating-point numbers.
    """
    shape = (len(samples), groups.outputs)
    if tuple(scores.shape) != shape or not scores.is_floating_point():
        raise InputError(
            f"scores must be {shape} floats for these groups; got {tuple(scores.shape)} "
            f"{scores.dtype}"
        )


def pair_wins(score: Tensor, positive: Tensor, bias: Tensor, *, biases: int) -> Wins:
    """Count the pairs in which a positive scores higher than a negative, for pairs of bias values.

    Args:
        score: ``(N,)`` float without NaN.
        positive: ``(N,)`` bool or 0/1.
        bias: ``(N,)`` integer in [0, biases), or -1 where unknown: such a sample is left out.
        biases: number of bias values.
    """
    known = bias >= 0
    score, positive, bias = score[known], positive[known].bool(), bias[known].long()
    winner, owner = score[positive], bias[positive]
    halves = torch.zeros(biases, biases, dtype=torch.long, device=score.device)
    for other in range(biases):
        losers = score[~positive & (bias == other)].sort().values
        below_and_tied = torch.searchsorted(losers, winner, right=True)
        halves[:, other].index_add_(0, owner, torch.searchsorted(losers, winner) + below_and_tied)
    sizes = (torch.bincount(bias[side], minlength=biases) for side in (positive, ~positive))
    return Wins(halves, *sizes)


def borkan_auc(wins: Wins) -> BorkanAUC:
    r"""AUROC of each bias value, and of its two mixtures with the other bias values.

    .. math:: \mathrm{AUC}_k = P(s^+ > s^-) + \tfrac{1}{2} P(s^+ = s^-), \qquad
              s^+, s^- \text{ scores of a random positive and negative}

    Source: Borkan et al., "Nuanced Metrics for Measuring Unintended Bias with Real Data for Text
    Classification", 2019.

    Args:
        wins: as ``pair_wins`` returns it.

    Differs from the reference: in torchmetrics, an AUROC without positives or negatives is 0, which
    would then be the worst. Here it is NaN. The subgroups are bias values, because every AUROC
    within a (target, bias) group is undefined.
    """
    halves, positives, negatives = wins
    own = halves.diagonal()
    return BorkanAUC(
        _area(own, positives * negatives),
        _area(halves.sum(dim=0) - own, (positives.sum() - positives) * negatives),
        _area(halves.sum(dim=1) - own, positives * (negatives.sum() - negatives)),
    )


def auroc(score: Tensor, positive: Tensor) -> Tensor:
    """Area under the ROC curve of ``(N,)`` scores: float64 in [0, 1]; NaN if one side is missing.

    Example:
        >>> score, positive = torch.tensor([0.9, 0.5, 0.5, 0.1]), torch.tensor([1, 1, 0, 0])
        >>> auroc(score, positive.bool()).item()  # 3.5 of 4 pairs
        0.875
    """
    wins = pair_wins(score, positive, torch.zeros_like(positive, dtype=torch.long), biases=1)
    return borkan_auc(wins).subgroup[0]


def average_precision(score: Tensor, positive: Tensor) -> Tensor:
    r"""Mean over the positives of the precision, with the score of the positive as threshold.

    .. math:: \mathrm{AP} = \frac{1}{P} \sum_{i: y_i = 1}
              \frac{|\{j: s_j \ge s_i, y_j = 1\}|}{|\{j: s_j \ge s_i\}|}

    This equals the sum, over the distinct thresholds, of the precision times the step in recall,
    without interpolation.

    Args:
        score: ``(N,)`` float without NaN.
        positive: ``(N,)`` bool or 0/1.

    Returns:
        Scalar float64 in (0, 1], 1 ideal; about the share of positives for random scores. NaN
        without positives.

    Differs from the reference: scikit-learn returns 0 without positives.

    Example:
        >>> score, positive = torch.tensor([0.9, 0.8, 0.7]), torch.tensor([True, False, True])
        >>> average_precision(score, positive).item()  # (1 + 2/3) / 2
        0.8333333333333333
    """
    hits = score[positive.bool()].sort().values
    admitted = [
        len(ranked) - torch.searchsorted(ranked, hits) for ranked in (hits, score.sort().values)
    ]
    return (admitted[0].double() / admitted[1].double()).mean()


def _area(halves: Tensor, pairs: Tensor) -> Tensor:
    return halves.double() / (2 * pairs.double())
