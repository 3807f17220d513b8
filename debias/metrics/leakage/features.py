"""How much of the bias a fresh attacker finds in what a model computed."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from debias.errors import InputError
from debias.metrics.leakage.attackers import LOGISTIC, Attacker, BiasRows, share_right


class Leakage(NamedTuple):
    """Leakage over rounds.

    Attributes:
        mean, deviation: over the rounds; the deviation divides by their number, as the reference
            does.
        rounds: the leakage of each round.
        chance: the accuracy of an attacker without features, 1 / K for K values of the bias.
    """

    mean: float
    deviation: float
    rounds: tuple[float, ...]
    chance: float


def feature_leakage(
    features: Tensor,
    bias: Tensor,
    *,
    target: Tensor | None = None,
    rounds: int = 5,
    seed: int = 0,
    attacker: Attacker = LOGISTIC,
) -> Leakage:
    r"""Accuracy with which a fresh attacker guesses the bias from held-out features.

    .. math:: \lambda = \tfrac{1}{2} + \left|\mathrm{acc} - \tfrac{1}{2}\right|

    In each round, as many rows of every bias value are drawn, without repetition: half of them
    teach the attacker, a quarter chooses its epoch, and on a quarter it is asked. All of them must
    be new to the model: give it the features of a validation or test split.

    Source: Wang et al., "Balanced Datasets Are Not Enough", ICCV 2019,
    uvavision/Balanced-Datasets-Are-Not-Enough (``object_multilabel/attacker.py``).

    Args:
        features: ``(N, D)`` or ``(N,)`` finite numbers: features, logits or labels, one row a
            sample.
        bias: ``(N,)`` integer value of the bias attribute; rows with -1 are left out.
        target: ``(N,)`` integer class, or ``(N, L)`` 0/1 labels. With it the draw holds as many
            rows of every bias value in each class, or combination of labels, so that one who knows
            these alone is at chance; a class that lacks a value is left out.
        rounds: draws, each with a new attacker.
        seed: of draws and attackers. The draws do not depend on the attacker.
        attacker: a logistic regression (deterministic given the draw), or one of your own.

    Returns:
        Leakage in [chance, 1], ideal chance: 1/2 for two values. At chance the fold still adds
        about ``0.4 / sqrt(n)`` for n rows asked. With more than two values there is no fold: it is
        the accuracy, in [0, 1]. All NaN where fewer than two values of the bias are known, or one
        of them has fewer than four rows in every class.

    Raises:
        ValueError: shapes differ, features are not finite, or there is no round.

    Differs from the reference: it learns on the split that the model was trained on, and draws a
    fixed number of rows. Its attacker is a perceptron of three hidden layers.

    Example:
        >>> bias = torch.arange(2).repeat(20)
        >>> feature_leakage(bias.double(), bias, rounds=2)
        Leakage(mean=1.0, deviation=0.0, rounds=(1.0, 1.0), chance=0.5)
    """
    if rounds < 1:
        raise InputError(f"rounds must be at least 1, got {rounds}")
    return leakage_over([features] * rounds, bias, target=target, seed=seed, attacker=attacker)


def leakage_over(
    versions: Sequence[Tensor],
    bias: Tensor,
    *,
    target: Tensor | None = None,
    seed: int = 0,
    attacker: Attacker = LOGISTIC,
) -> Leakage:
    """As :func:`feature_leakage`, with a version of the features for each round."""
    versions = [_checked(version, bias, target) for version in versions]
    known = bias >= 0
    values, codes = torch.unique(bias[known], return_inverse=True)
    classes = (
        torch.zeros_like(codes)
        if target is None
        else torch.unique(target[known], dim=0, return_inverse=True)[1]
    )
    generator = torch.Generator().manual_seed(seed)
    draws = [_balanced_parts(classes.cpu(), codes.cpu(), len(values), generator) for _ in versions]
    rows = [BiasRows(version[known], codes) for version in versions]
    accuracies = [
        _round(seen, parts, attacker, generator) for seen, parts in zip(rows, draws, strict=True)
    ]
    return _summary(tuple(leakage(accuracy, len(values)) for accuracy in accuracies), len(values))


def feature_leakage_report(
    features: Tensor, bias: Tensor, target: Tensor, *, rounds: int = 5, seed: int = 0
) -> dict[str, float]:
    """The leakages of the family ``FEATURES`` of held-out features, and their deviations."""
    plain = feature_leakage(features, bias, rounds=rounds, seed=seed)
    within = feature_leakage(features, bias, target=target, rounds=rounds, seed=seed)
    return {
        "leakage/features": plain.mean,
        "leakage/features_given_target": within.mean,
        "leakage/features_deviation": plain.deviation,
        "leakage/features_given_target_deviation": within.deviation,
    }


def leakage(accuracy: float, values: int = 2) -> float:
    """Leakage of an attacker's accuracy; of two bias values, one below 1/2 is turned around."""
    # one who is always wrong on two values knows them; on more values nothing follows
    return 0.5 + abs(accuracy - 0.5) if values == 2 else accuracy


def attacker_accuracy(
    train: BiasRows,
    validation: BiasRows,
    test: BiasRows,
    *,
    attacker: Attacker,
    generator: Generator,
) -> float:
    """Accuracy on ``test`` of an attacker that learnt on ``train``; NaN with nothing to learn."""
    if len(test.bias) == 0 or len(torch.unique(train.bias)) < 2:
        return math.nan
    return share_right(attacker(train, validation, test.features, generator), test.bias.cpu())


def _round(rows: BiasRows, parts: list[Tensor], attacker: Attacker, generator: Generator) -> float:
    train, validation, test = (BiasRows(rows.features[part], rows.bias[part]) for part in parts)
    return attacker_accuracy(train, validation, test, attacker=attacker, generator=generator)


def _balanced_parts(
    classes: Tensor, codes: Tensor, values: int, generator: Generator
) -> list[Tensor]:
    """Rows to learn from, to choose by and to be asked on: in each class as many per value."""
    parts: list[list[Tensor]] = [[torch.empty(0, dtype=torch.long)] for _ in range(3)]
    for one in torch.unique(classes):
        cells = [((classes == one) & (codes == value)).nonzero()[:, 0] for value in range(values)]
        size = min(len(cell) for cell in cells)
        sizes = [size - 2 * (size // 4), size // 4, size // 4]
        for cell in cells:
            drawn = cell[torch.randperm(len(cell), generator=generator)[:size]]
            for part, rows in zip(parts, torch.split(drawn, sizes), strict=True):
                part.append(rows)
    return [torch.cat(part) for part in parts]


def _summary(rounds: tuple[float, ...], values: int) -> Leakage:
    found = torch.tensor(rounds, dtype=torch.float64)
    chance = 1 / values if values > 1 else math.nan
    return Leakage(found.mean().item(), found.std(correction=0).item(), rounds, chance)


def _checked(features: Tensor, bias: Tensor, target: Tensor | None) -> Tensor:
    """Features as ``(N, D)``, and everything else refused that has no meaning."""
    features = features.flatten(1) if features.ndim > 1 else features[:, None]
    lengths = {len(features), len(bias), len(bias if target is None else target)}
    if bias.ndim != 1 or len(lengths) > 1:
        shapes = [tuple(part.shape) for part in (features, bias, target) if part is not None]
        raise InputError(
            f"features, bias and target must have one row a sample, and bias is (N,); got {shapes}"
        )
    if not bool(features.isfinite().all()):
        raise InputError(
            "features hold a value that is not finite: see which images give it, no attacker can "
            "use it"
        )
    return features
