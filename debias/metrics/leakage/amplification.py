"""Leakage of a model's outputs, compared with that of labels with as many errors."""

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from debias.metrics.leakage.attackers import LOGISTIC, Attacker
from debias.metrics.leakage.features import Leakage, feature_leakage, leakage_over
from debias.types import Groups


class LeakageAmplification(NamedTuple):
    """Leakage of the labels, of labels with random errors and of a model, and their difference.

    Attributes:
        dataset: leakage of the true labels.
        dataset_at_f1: leakage of the true labels after random flips, with the F1 of the model.
        model: leakage of the model's logits.
        amplification: mean of ``model`` minus mean of ``dataset_at_f1``, ideal 0.
    """

    dataset: Leakage
    dataset_at_f1: Leakage
    model: Leakage
    amplification: float


def leakage_amplification(
    logits: Tensor,
    target: Tensor,
    bias: Tensor,
    groups: Groups,
    *,
    rounds: int = 5,
    attacker: Attacker = LOGISTIC,
) -> LeakageAmplification:
    r"""How much more a model's outputs leak of the bias than labels with as many errors.

    .. math:: \Delta = \lambda_M(F_1) - \lambda_D(F_1)

    with :math:`\lambda_M` the leakage of the model's logits, :math:`F_1` its macro F1, and
    :math:`\lambda_D` the leakage of labels that random flips give the same F1.

    Source: Wang et al., "Balanced Datasets Are Not Enough", ICCV 2019,
    uvavision/Balanced-Datasets-Are-Not-Enough (``attacker.py``, ``dataset_leakage.py``,
    ``natural_leakage.py``).

    Args:
        logits: ``(N, outputs)`` of held-out samples.
        target: ``(N,)`` integer class, or ``(N, L)`` 0/1 when multi-label.
        bias: ``(N,)`` integer, -1 where unknown; such samples are left out.
        groups: names and numbering of the groups; says whether targets are multi-label.
        rounds, attacker: as in :func:`~debias.metrics.leakage.features.feature_leakage`; each round
            flips other labels.

    Returns:
        The three leakages and the difference. NaN where ``feature_leakage`` is NaN.

    Differs from the reference: the reference reads the leakage at the model's F1 from a curve over
    flip probabilities. Here a search finds the flip probability for each draw. With several
    classes, the reference replaces one class by another to measure F1, but flips entries of the
    one-hot vector for the attacker. Here both replace one class by another.
    """
    known = bias >= 0
    logits, target, bias = logits[known], target[known], bias[known]
    labels = label_vectors(target, groups)
    model_f1 = macro_f1(label_vectors(groups.predict(logits), groups), labels)
    # another seed than that of the drawn rows, so that rows and flips are independent
    generator = torch.Generator().manual_seed(1_000_003)
    flipped = [labels_at_f1(labels, model_f1, groups, generator) for _ in range(rounds)]
    model = feature_leakage(logits, bias, rounds=rounds, attacker=attacker)
    dataset = feature_leakage(labels, bias, rounds=rounds, attacker=attacker)
    noisy = leakage_over(flipped, bias, attacker=attacker)
    return LeakageAmplification(dataset, noisy, model, model.mean - noisy.mean)


def leakage_report(
    logits: Tensor,
    target: Tensor,
    bias: Tensor,
    groups: Groups,
    *,
    rounds: int = 5,
    attacker: Attacker = LOGISTIC,
) -> dict[str, float]:
    """The numbers of the family ``LEAKAGE`` for one split, as plain floats."""
    result = leakage_amplification(logits, target, bias, groups, rounds=rounds, attacker=attacker)
    return {
        "leakage/dataset": result.dataset.mean,
        "leakage/dataset_at_f1": result.dataset_at_f1.mean,
        "leakage/model": result.model.mean,
        "leakage/amplification": result.amplification,
        "leakage/dataset_deviation": result.dataset.deviation,
        "leakage/dataset_at_f1_deviation": result.dataset_at_f1.deviation,
        "leakage/model_deviation": result.model.deviation,
    }


def label_vectors(target: Tensor, groups: Groups) -> Tensor:
    """Targets as ``(N, outputs)`` int64 0/1: one-hot classes, or the labels when multi-label."""
    return (
        target.long()
        if groups.multi_label
        else torch.nn.functional.one_hot(target.long(), groups.rows)
    )


def macro_f1(prediction: Tensor, labels: Tensor) -> float:
    r"""Mean over the columns of :math:`2 TP / (2 TP + FP + FN)`.

    Args:
        prediction, labels: ``(N, L)`` 0/1.

    Returns:
        In [0, 1], ideal 1. A column without any positive, predicted or true, has no F1 and is left
        out. NaN if no column has an F1.

    Differs from the reference: in scikit-learn, such a column has an F1 of 0.
    """
    both = (prediction & labels).sum(dim=0)
    return (2 * both.double() / (prediction.sum(dim=0) + labels.sum(dim=0))).nanmean().item()


def labels_at_f1(labels: Tensor, f1: float, groups: Groups, generator: Generator) -> Tensor:
    """Add random errors to labels until their macro F1 is as close as possible to a given one.

    Args:
        labels: ``(N, outputs)`` int64 0/1, as :func:`label_vectors` returns them.
        f1: the macro F1 to reach.
        groups: names and numbering of the groups. When multi-label, single entries are flipped;
            otherwise one class is replaced by another.
        generator: source of randomness, on the CPU.

    Returns:
        ``(N, outputs)`` int64 0/1. The flip probability is at most that of pure noise, so an F1
        below that of noise is not reached.
    """
    chance = torch.rand(
        labels.shape if groups.multi_label else labels.shape[:1], generator=generator
    )
    chance = chance.to(labels.device)
    opposite = 1 - labels if groups.multi_label else _other_class(labels, generator)
    few, many = 0.0, 0.5 if groups.multi_label else 1 - 1 / groups.rows
    for _ in range(40):
        middle = (few + many) / 2
        enough = macro_f1(_flipped(labels, opposite, chance < middle), labels) <= f1
        few, many = (few, middle) if enough else (middle, many)
    ends = [_flipped(labels, opposite, chance < share) for share in (few, many)]
    return min(ends, key=lambda end: abs(macro_f1(end, labels) - f1))


def _flipped(labels: Tensor, opposite: Tensor, flip: Tensor) -> Tensor:
    return torch.where(flip if flip.ndim == labels.ndim else flip[:, None], opposite, labels)


def _other_class(labels: Tensor, generator: Generator) -> Tensor:
    """Replace each one-hot class by another one; all other classes are equally likely."""
    classes = labels.shape[1]
    step = torch.randint(1, max(classes, 2), (len(labels),), generator=generator).to(labels.device)
    return torch.nn.functional.one_hot((labels.argmax(dim=1) + step) % classes, classes)
