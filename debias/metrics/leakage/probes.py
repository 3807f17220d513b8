"""How well a simple probe predicts the bias from held-out features, in accuracy and in bits."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from debias.metrics.leakage.attackers import Attacker, BiasRows, LogisticAttacker, share_right


class Probe(NamedTuple):
    """Results of a probe of the bias on held-out rows.

    Attributes:
        accuracy: share of the rows whose bias is predicted correctly.
        balanced_accuracy: mean recall over the bias values that occur.
        auroc: area under the ROC curve; with more than two values, the mean of each against the
            rest.
        majority: share of the most common value among the held-out rows; compare ``accuracy`` with
            it.
    """

    accuracy: float
    balanced_accuracy: float
    auroc: float
    majority: float


class Information(NamedTuple):
    """Usable information about the bias, in bits.

    Attributes:
        null_entropy: cross-entropy on held-out rows if the training frequencies are predicted.
        conditional_entropy: cross-entropy of the probe on held-out rows.
        information: ``null_entropy`` minus ``conditional_entropy``.
    """

    null_entropy: float
    conditional_entropy: float
    information: float


def linear_probe(train: BiasRows, test: BiasRows, *, probe: Attacker | None = None) -> Probe:
    """Fit a linear probe of the bias, and compare it with always predicting the commonest value.

    Source: scikit-learn's ``LogisticRegression``, ``balanced_accuracy_score`` and
    ``roc_auc_score``.

    Args:
        train: rows to learn from; rows of bias -1 are left out.
        test: rows of other samples to test on; rows of bias -1 are left out.
        probe: the probe; by default a logistic regression with C = 1 on standardised features.

    Returns:
        Ideal, for features without bias: accuracy = majority, balanced accuracy 1 / K, AUROC 1/2.
        All NaN if the training rows have fewer than two bias values, or there is no test row. AUROC
        is also NaN if the test rows have a single value.

    Example:
        >>> bias = torch.arange(2).repeat(8)
        >>> linear_probe(BiasRows(bias[:, None], bias), BiasRows(bias[:4, None], bias[:4]))
        Probe(accuracy=1.0, balanced_accuracy=1.0, auroc=1.0, majority=0.5)
    """
    train, test = _labelled(train), _labelled(test)
    scores = _scores(train, test, probe)
    if scores is None:
        return Probe(math.nan, math.nan, math.nan, math.nan)
    values, counts = torch.unique(test.bias, return_counts=True)
    recalls = [share_right(scores[test.bias == value], value) for value in values]
    majority = counts.max().item() / len(test.bias)
    return Probe(
        share_right(scores, test.bias),
        sum(recalls) / len(recalls),
        _auroc(scores, test.bias),
        majority,
    )


def v_information(train: BiasRows, test: BiasRows, *, probe: Attacker | None = None) -> Information:
    r"""Usable information: bits about the bias that a probe extracts from features.

    .. math:: I_V(z \to a) = \frac{1}{N} \sum_i \log_2 p(a_i \mid z_i) - \log_2 p_\emptyset(a_i)

    with p the probe's probabilities, :math:`p_\emptyset` the frequencies of the training rows, and
    both terms computed on held-out rows.

    Source: Xu et al., "A Theory of Usable Information Under Computational Constraints", ICLR 2020;
    kawine/dataset_difficulty.

    Args:
        train, test, probe: as in :func:`linear_probe`.

    Returns:
        Information of at most the null entropy; ideal 0, for features from which the probe learns
        nothing. It is negative if the probe predicts worse than the frequencies. NaN if
        ``linear_probe`` is NaN, or if ``test`` has a bias value that ``train`` lacks.
    """
    train, test = _labelled(train), _labelled(test)
    scores = _scores(train, test, probe)
    if (
        scores is None
        or int(torch.bincount(train.bias, minlength=int(test.bias.max()) + 1)[test.bias].min()) == 0
    ):
        return Information(math.nan, math.nan, math.nan)
    frequencies = torch.bincount(train.bias).double() / len(train.bias)
    probability = scores.gather(1, test.bias[:, None])[:, 0]
    # a probability that underflowed to 0 would make the cross-entropy infinite
    conditional = -probability.clamp(min=torch.finfo(torch.float64).tiny).log2().mean().item()
    null = -frequencies[test.bias].log2().mean().item()
    return Information(null, conditional, null - conditional)


def probe_report(features: Tensor, bias: Tensor, *, seed: int = 0) -> dict[str, float]:
    """The ``probe/`` numbers of the family ``FEATURES`` for held-out features.

    The probe learns from half of the rows of each bias value, and is tested on the other half.

    Args:
        features: ``(N, D)`` float, of a split that the model was not trained on.
        bias: ``(N,)`` integer, -1 where unknown.
        seed: seed of the random halves.
    """
    rows = _labelled(BiasRows(features, bias))
    generator = torch.Generator().manual_seed(seed)
    train = torch.zeros(len(rows.bias), dtype=torch.bool)
    for value in torch.unique(rows.bias):
        cell = (rows.bias == value).nonzero()[:, 0]
        train[cell[torch.randperm(len(cell), generator=generator)[: (len(cell) + 1) // 2]]] = True
    halves = [BiasRows(rows.features[half], rows.bias[half]) for half in (train, ~train)]
    result, information = linear_probe(*halves), v_information(*halves)
    return {
        "probe/accuracy": result.accuracy,
        "probe/balanced_accuracy": result.balanced_accuracy,
        "probe/auroc": result.auroc,
        "probe/majority": result.majority,
        "probe/v_information": information.information,
    }


def _labelled(rows: BiasRows) -> BiasRows:
    known = rows.bias >= 0
    return BiasRows(rows.features[known].detach().cpu().double(), rows.bias[known].cpu().long())


def _scores(train: BiasRows, test: BiasRows, probe: Attacker | None) -> Tensor | None:
    """``(N, K)`` probabilities of the test rows, with a column for every bias value among them.

    ``None`` if there is no test row, or fewer than two bias values to learn from.
    """
    if len(test.bias) == 0 or len(torch.unique(train.bias)) < 2:
        return None
    generator = torch.Generator().manual_seed(0)
    scores = (probe or LogisticAttacker())(train, test, test.features, generator)
    missing = max(int(test.bias.max()) + 1 - scores.shape[1], 0)
    return torch.nn.functional.pad(scores, (0, missing))


def _auroc(scores: Tensor, bias: Tensor) -> float:
    from sklearn.metrics import roc_auc_score

    values = [1] if scores.shape[1] == 2 else range(scores.shape[1])
    sides = [(bias == value, scores[:, value]) for value in values]
    areas = [
        roc_auc_score(side.numpy(), score.numpy())
        for side, score in sides
        if side.any() and not side.all()
    ]
    return float(sum(areas) / len(areas)) if areas else math.nan
