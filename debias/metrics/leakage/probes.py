"""What a simple probe reads from held-out features: the bias, in accuracy and in bits."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from debias.metrics.leakage.attackers import Attacker, BiasRows, LogisticAttacker, share_right


class Probe(NamedTuple):
    """What a probe gets right on held-out rows.

    Attributes:
        accuracy: share of the rows that are right.
        balanced_accuracy: mean over the bias values that occur of the share that is right.
        auroc: area under the ROC curve; with more than two values, mean of one against the rest.
        majority: share of the most common value among the held-out rows, what ``accuracy`` is to be
            compared with.
    """

    accuracy: float
    balanced_accuracy: float
    auroc: float
    majority: float


class Information(NamedTuple):
    """Usable information in bits.

    Attributes:
        null_entropy: held-out cross-entropy of the training rows' frequencies.
        conditional_entropy: held-out cross-entropy of the probe.
        information: the former minus the latter.
    """

    null_entropy: float
    conditional_entropy: float
    information: float


def linear_probe(train: BiasRows, test: BiasRows, *, probe: Attacker | None = None) -> Probe:
    """Leakage of the bias to a linear probe, against the most common value.

    Source: scikit-learn's ``LogisticRegression``, ``balanced_accuracy_score`` and
    ``roc_auc_score``.

    Args:
        train: rows to learn from; those of bias -1 are left out.
        test: rows to be asked on, of other samples; those of bias -1 are left out.
        probe: logistic regression with C = 1 on standardised features if none is given.

    Returns:
        Ideal, for features without bias: accuracy = majority, balanced accuracy 1 / K, AUROC 1/2.
        All NaN where the training rows have fewer than two values or no row is asked; AUROC also
        where the rows asked have one value.

    Example:
        >>> bias = torch.arange(2).repeat(8)
        >>> linear_probe(BiasRows(bias[:, None], bias), BiasRows(bias[:4, None], bias[:4]))
        Probe(accuracy=1.0, balanced_accuracy=1.0, auroc=1.0, majority=0.5)
    """
    train, test = _known(train), _known(test)
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
    r"""Bits about the bias that a family of probes can get out of features.

    .. math:: I_V(z \to a) = \frac{1}{N} \sum_i \log_2 p(a_i \mid z_i) - \log_2 p_\emptyset(a_i)

    with :math:`p_\emptyset` the training rows' frequencies, and both terms on held-out rows.

    Source: Xu et al., "A Theory of Usable Information Under Computational Constraints", ICLR 2020;
    kawine/dataset_difficulty.

    Args:
        train, test, probe: as in :func:`linear_probe`.

    Returns:
        At most the null entropy; ideal 0, for features that the probe gets nothing out of. Negative
        where the probe does worse than the frequencies. NaN where ``linear_probe`` is, or a value
        is asked that was never learnt.
    """
    train, test = _known(train), _known(test)
    scores = _scores(train, test, probe)
    if (
        scores is None
        or int(torch.bincount(train.bias, minlength=int(test.bias.max()) + 1)[test.bias].min()) == 0
    ):
        return Information(math.nan, math.nan, math.nan)
    frequencies = torch.bincount(train.bias).double() / len(train.bias)
    chosen = scores.gather(1, test.bias[:, None])[:, 0]
    # a probability that underflows is not a certainty
    conditional = -chosen.clamp(min=torch.finfo(torch.float64).tiny).log2().mean().item()
    null = -frequencies[test.bias].log2().mean().item()
    return Information(null, conditional, null - conditional)


def probe_report(
    features: Tensor, bias: Tensor, *, seed: int = 0, probe: Attacker | None = None
) -> dict[str, float]:
    """The ``probe/`` numbers of the family ``FEATURES`` for held-out features.

    Half of the rows of each bias value teach the probe, and it is tested on the other half.

    Args:
        features: ``(N, D)`` float, of a split that the model was not trained on.
        bias: ``(N,)`` integer, -1 where unknown.
        seed: of the halves.
        probe: as in :func:`linear_probe`.
    """
    rows = _known(BiasRows(features, bias))
    generator = torch.Generator().manual_seed(seed)
    train = torch.zeros(len(rows.bias), dtype=torch.bool)
    for value in torch.unique(rows.bias):
        cell = (rows.bias == value).nonzero()[:, 0]
        train[cell[torch.randperm(len(cell), generator=generator)[: (len(cell) + 1) // 2]]] = True
    halves = [BiasRows(rows.features[half], rows.bias[half]) for half in (train, ~train)]
    found, information = linear_probe(*halves, probe=probe), v_information(*halves, probe=probe)
    return {
        "probe/accuracy": found.accuracy,
        "probe/balanced_accuracy": found.balanced_accuracy,
        "probe/auroc": found.auroc,
        "probe/majority": found.majority,
        "probe/v_information": information.information,
    }


def _known(rows: BiasRows) -> BiasRows:
    known = rows.bias >= 0
    return BiasRows(rows.features[known].detach().cpu().double(), rows.bias[known].cpu().long())


def _scores(train: BiasRows, test: BiasRows, probe: Attacker | None) -> Tensor | None:
    """``(N, K)`` probabilities for the rows asked, K at least their columns; or nothing."""
    if len(test.bias) == 0 or len(torch.unique(train.bias)) < 2:
        return None
    generator = torch.Generator().manual_seed(0)
    found = (probe or LogisticAttacker())(train, test, test.features, generator)
    missing = max(int(test.bias.max()) + 1 - found.shape[1], 0)
    return torch.nn.functional.pad(found, (0, missing))


def _auroc(scores: Tensor, bias: Tensor) -> float:
    from sklearn.metrics import roc_auc_score

    values = [1] if scores.shape[1] == 2 else range(scores.shape[1])
    sides = [(bias == value, scores[:, value]) for value in values]
    found = [
        roc_auc_score(side.numpy(), score.numpy())
        for side, score in sides
        if side.any() and not side.all()
    ]
    return float(sum(found) / len(found)) if found else math.nan
