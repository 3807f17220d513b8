"""How well scores rank positives over negatives, within and across the groups of a bias attribute:
exact, with ties.

One outcome at a time: a class against the rest, or a label. ``score_columns`` makes the outcomes of
a data set.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError
from debias.types import Groups


class Wins(NamedTuple):
    """How often positives of one bias outscore negatives of another; all that areas under ROC
    curves are made of.

    Attributes:
        halves: ``(biases, biases)`` int64, entry (k, l) twice the pairs of a positive of k and a
            negative of l in which the positive scores higher, a tie counting one.
        positives, negatives: ``(biases,)`` int64.
    """

    halves: Tensor
    positives: Tensor
    negatives: Tensor


class BorkanAUC(NamedTuple):
    """Three areas per bias, each ``(biases,)`` float64 in [0, 1], 1 ideal; NaN without a positive
    or a negative.

    Attributes:
        subgroup: positives against negatives of the bias.
        bpsn: background positives against subgroup negatives; low where negatives of the bias score
            too high.
        bnsp: background negatives against subgroup positives; low where positives of the bias score
            too low.
    """

    subgroup: Tensor
    bpsn: Tensor
    bnsp: Tensor


def score_columns(scores: Tensor, target: Tensor, groups: Groups) -> tuple[Tensor, Tensor]:
    """The scores of each outcome and whether it is true, in the order of ``outcome_names``.

    Args:
        scores: ``(N, outputs)`` float, higher for more likely: logits or probabilities. Of two
            classes the score of the second counts: give probabilities, as a difference of logits
            would rank otherwise than one logit.
        target: ``(N,)`` integer class in [0, rows), or ``(N, L)`` 0/1 when multi-label.
        groups: names and numbering of the groups.

    Returns:
        ``(outcomes, N)`` float64 scores and ``(outcomes, N)`` bool.

    Raises:
        ValueError: the scores are not as above, or one is NaN.
    """
    check_scores(scores, target, groups)
    if bool(scores.isnan().any()):
        raise InputError("scores hold NaN, which has no rank: look for a diverged model")
    columns = scores.T.double()
    if groups.multi_label:
        return columns, target.T == 1
    hits = target == torch.arange(groups.rows, device=target.device)[:, None]
    return (columns[1:], hits[1:]) if groups.rows == 2 else (columns, hits)


def check_scores(scores: Tensor, samples: Tensor, groups: Groups) -> None:
    """Refuse scores that are not ``(N, outputs)`` floats for ``(N, ...)`` samples."""
    shape = (len(samples), groups.outputs)
    if tuple(scores.shape) != shape or not scores.is_floating_point():
        raise InputError(
            f"scores must be {shape} floats for these groups; got {tuple(scores.shape)} "
            f"{scores.dtype}"
        )


def pair_wins(score: Tensor, positive: Tensor, bias: Tensor, *, biases: int) -> Wins:
    """Count the pairs of a positive and a negative that a score orders rightly, by biases.

    Args:
        score: ``(N,)`` float without NaN.
        positive: ``(N,)`` bool or 0/1.
        bias: ``(N,)`` integer in [0, biases), or -1 where unknown: such a sample is left out.
        biases: how many values the bias has.
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
    r"""Areas under the ROC curve of each bias and of its two mixtures with the rest.

    .. math:: \mathrm{AUC}_k = P(s^+ > s^-) + \tfrac{1}{2} P(s^+ = s^-), \qquad
              s^+, s^- \text{ scores of a random positive and negative}

    Source: Borkan et al., "Nuanced Metrics for Measuring Unintended Bias with Real Data for Text
    Classification", 2019.

    Args:
        wins: as ``pair_wins`` returns it.

    Differs from the reference: torchmetrics calls an area without positives or negatives 0, which
    would then be the worst group; here it is NaN. On (target, bias) groups every area is undefined,
    hence on biases.
    """
    halves, positives, negatives = wins
    own = halves.diagonal()
    return BorkanAUC(
        _area(own, positives * negatives),
        _area(halves.sum(dim=0) - own, (positives.sum() - positives) * negatives),
        _area(halves.sum(dim=1) - own, positives * (negatives.sum() - negatives)),
    )


def auroc(score: Tensor, positive: Tensor) -> Tensor:
    """Area under the ROC curve of ``(N,)`` scores: float64 in [0, 1], NaN with one outcome.

    Example:
        >>> score, positive = torch.tensor([0.9, 0.5, 0.5, 0.1]), torch.tensor([1, 1, 0, 0])
        >>> auroc(score, positive.bool()).item()  # 3.5 of 4 pairs
        0.875
    """
    wins = pair_wins(score, positive, torch.zeros_like(positive, dtype=torch.long), biases=1)
    return borkan_auc(wins).subgroup[0]


def average_precision(score: Tensor, positive: Tensor) -> Tensor:
    r"""Mean over the positives of the precision at the threshold that just admits them.

    .. math:: \mathrm{AP} = \frac{1}{P} \sum_{i: y_i = 1}
              \frac{|\{j: s_j \ge s_i, y_j = 1\}|}{|\{j: s_j \ge s_i\}|}

    The same as the sum of precision times step in recall over the distinct thresholds, without
    interpolation.

    Args:
        score: ``(N,)`` float without NaN.
        positive: ``(N,)`` bool or 0/1.

    Returns:
        Scalar float64 in (0, 1], 1 ideal, the share of positives for random scores; NaN without
        positives.

    Differs from the reference: scikit-learn returns 0 without positives.

    Example:
        >>> score, positive = torch.tensor([0.9, 0.8, 0.7]), torch.tensor([True, False, True])
        >>> average_precision(score, positive).item()  # (1 + 2/3) / 2
        0.8333333333333333
    """
    found = score[positive.bool()].sort().values
    admitted = [
        len(ranked) - torch.searchsorted(ranked, found) for ranked in (found, score.sort().values)
    ]
    return (admitted[0].double() / admitted[1].double()).mean()


def _area(halves: Tensor, pairs: Tensor) -> Tensor:
    return halves.double() / (2 * pairs.double())
