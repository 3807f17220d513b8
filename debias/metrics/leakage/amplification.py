"""Leakage of a model's outputs against that of labels that are equally often right."""

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from debias.metrics.leakage.attackers import LOGISTIC, Attacker
from debias.metrics.leakage.features import Leakage, feature_leakage, leakage_over
from debias.types import Groups


class LeakageAmplification(NamedTuple):
    """Leakage of labels, of labels with random errors and of a model, and what the model adds.

    Attributes:
        dataset: leakage of the true labels.
        dataset_at_f1: leakage of the true labels, flipped at random until their F1 is the model's.
        model: leakage of the model's logits.
        amplification: mean of ``model`` minus mean of ``dataset_at_f1``, ideal 0.
        model_f1: macro F1 of the model's predictions.
        labels_f1: macro F1 of the flipped labels, mean over the rounds.
    """

    dataset: Leakage
    dataset_at_f1: Leakage
    model: Leakage
    amplification: float
    model_f1: float
    labels_f1: float


def leakage_amplification(
    logits: Tensor,
    target: Tensor,
    bias: Tensor,
    groups: Groups,
    *,
    rounds: int = 5,
    seed: int = 0,
    attacker: Attacker = LOGISTIC,
) -> LeakageAmplification:
    r"""How much more of the bias a model's outputs tell than labels with as many errors.

    .. math:: \Delta = \lambda_M(F_1) - \lambda_D(F_1)

    Source: Wang et al., "Balanced Datasets Are Not Enough", ICCV 2019,
    uvavision/Balanced-Datasets-Are-Not-Enough (``attacker.py``, ``dataset_leakage.py``,
    ``natural_leakage.py``).

    Args:
        logits: ``(N, outputs)`` of held-out samples.
        target: ``(N,)`` integer class, or ``(N, L)`` 0/1 when multi-label.
        bias: ``(N,)`` integer, -1 where unknown: such samples count nowhere.
        groups: names and numbering; says whether targets are multi-label.
        rounds, seed, attacker: as in :func:`~debias.metrics.leakage.features.feature_leakage`; each
            round flips other labels.

    Returns:
        The three leakages and their F1; NaN where ``feature_leakage`` is.

    Differs from the reference: it reads the leakage at the model's F1 off a curve over flip
    probabilities; here the probability is found for each draw. Of several classes, it measures F1
    with one class put for another, but flips the entries of the one-hot vector for the attacker;
    here both have one class put for another.
    """
    known = bias >= 0
    logits, target, bias = logits[known], target[known], bias[known]
    labels = label_vectors(target, groups)
    model_f1 = macro_f1(label_vectors(groups.predict(logits), groups), labels)
    # not the seed itself: the draws of rows must not go with the flips
    generator = torch.Generator().manual_seed(seed + 1_000_003)
    flipped = [labels_at_f1(labels, model_f1, groups, generator) for _ in range(rounds)]
    model = feature_leakage(logits, bias, rounds=rounds, seed=seed, attacker=attacker)
    dataset = feature_leakage(labels, bias, rounds=rounds, seed=seed, attacker=attacker)
    noisy = leakage_over(flipped, bias, seed=seed, attacker=attacker)
    labels_f1 = sum(macro_f1(one, labels) for one in flipped) / rounds
    return LeakageAmplification(dataset, noisy, model, model.mean - noisy.mean, model_f1, labels_f1)


def leakage_report(
    logits: Tensor, target: Tensor, bias: Tensor, groups: Groups, *, rounds: int = 5
) -> dict[str, float]:
    """The numbers of the family ``LEAKAGE`` for a split."""
    found = leakage_amplification(logits, target, bias, groups, rounds=rounds)
    return {
        "leakage/dataset": found.dataset.mean,
        "leakage/dataset_at_f1": found.dataset_at_f1.mean,
        "leakage/model": found.model.mean,
        "leakage/amplification": found.amplification,
        "leakage/dataset_deviation": found.dataset.deviation,
        "leakage/dataset_at_f1_deviation": found.dataset_at_f1.deviation,
        "leakage/model_deviation": found.model.deviation,
    }


def label_vectors(target: Tensor, groups: Groups) -> Tensor:
    """``(N, outputs)`` int64 0/1: the labels as they are, or one-hot classes."""
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
        In [0, 1], ideal 1. A column without a positive in either has no F1 and is left out; NaN if
        there is none.

    Differs from the reference: scikit-learn counts such a column as 0.
    """
    both = (prediction & labels).sum(dim=0)
    return (2 * both.double() / (prediction.sum(dim=0) + labels.sum(dim=0))).nanmean().item()


def labels_at_f1(labels: Tensor, f1: float, groups: Groups, generator: Generator) -> Tensor:
    """Labels with errors made at random, so many that their macro F1 is as near as can be to the
    one asked for.

    Args:
        labels: ``(N, outputs)`` int64 0/1, as :func:`label_vectors` gives them.
        f1: the macro F1 that is wanted.
        groups: multi-label: each entry is flipped; otherwise, one class is put for another.
        generator: on the CPU.

    Returns:
        Of the shape of ``labels``. No more errors are made than leave pure noise, so that a lower
        F1 than that of noise is not reached.
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
    """One-hot classes, each another than before, all others equally likely."""
    classes = labels.shape[1]
    step = torch.randint(1, max(classes, 2), (len(labels),), generator=generator).to(labels.device)
    return torch.nn.functional.one_hot((labels.argmax(dim=1) + step) % classes, classes)
