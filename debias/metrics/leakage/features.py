"""Leakage of features: how well a newly trained attacker predicts the bias from them."""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from debias.errors import InputError
from debias.metrics.leakage.attackers import LOGISTIC, Attacker, BiasRows, share_right


class Leakage(NamedTuple):
    """Leakage over several rounds, each with its own attacker.

    Attributes:
        mean: mean of the leakage over the rounds.
        deviation: standard deviation over the R rounds; it divides by R, as in the reference.
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
    r"""Accuracy with which a newly trained attacker predicts the bias from held-out features.

    .. math:: \lambda = \tfrac{1}{2} + \left|\mathrm{acc} - \tfrac{1}{2}\right|

    Each round draws equally many rows of every bias value, without replacement. The attacker learns
    from half of them, may choose its epoch on a quarter, and is tested on a quarter. The model must
    not have been trained on these rows: give the features of a validation or test split.

    Source: Wang et al., "Balanced Datasets Are Not Enough", ICCV 2019,
    uvavision/Balanced-Datasets-Are-Not-Enough (``object_multilabel/attacker.py``).

    Args:
        features: ``(N, D)`` or ``(N,)`` finite numbers: features, logits or labels, one row per
            sample.
        bias: ``(N,)`` integer value of the bias attribute; rows with -1 are left out.
        target: ``(N,)`` integer class, or ``(N, L)`` 0/1 labels. If given, each class (or
            combination of labels) has equally many drawn rows of every bias value, so an attacker
            that knows only the target is at chance. A class that lacks a bias value is left out.
        rounds: number of draws, each with a new attacker.
        seed: seed of the draws and attackers. The draws do not depend on the attacker.
        attacker: a logistic regression (deterministic given the draw), or one of your own.

    Returns:
        With two bias values, leakage in [1/2, 1], ideal 1/2. At chance, the absolute value adds
        about ``0.4 / sqrt(n)`` on average, for n tested rows. With K > 2 values the leakage is the
        accuracy itself, in [0, 1], ideal 1 / K. All NaN if fewer than two bias values are known, or
        if no class has at least four rows of every bias value.

    Raises:
        ValueError: lengths differ, ``features`` are not finite, or ``rounds`` is less than 1.

    Differs from the reference: the reference learns on the training split of the model, and draws a
    fixed number of rows. Its attacker is a perceptron with three hidden layers.

    Example:
        >>> bias = torch.arange(2).repeat(20)
        >>> feature_leakage(bias.double(), bias, rounds=2)
        Leakage(mean=1.0, deviation=0.0, rounds=(1.0, 1.0), chance=0.5)
    """
    if rounds < 1:
        raise InputError(f"rounds must be at least 1; got {rounds}")
    return leakage_over([features] * rounds, bias, target=target, seed=seed, attacker=attacker)


def leakage_over(
    versions: Sequence[Tensor],
    bias: Tensor,
    *,
    target: Tensor | None = None,
    seed: int = 0,
    attacker: Attacker = LOGISTIC,
) -> Leakage:
    """Leakage as in :func:`feature_leakage`, with another version of the features in each round."""
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
        _round(one, parts, attacker, generator) for one, parts in zip(rows, draws, strict=True)
    ]
    return _summary(tuple(leakage(accuracy, len(values)) for accuracy in accuracies), len(values))


def feature_leakage_report(
    features: Tensor,
    bias: Tensor,
    target: Tensor,
    *,
    rounds: int = 5,
    seed: int = 0,
    attacker: Attacker = LOGISTIC,
) -> dict[str, float]:
    """The ``leakage/`` numbers of the family ``FEATURES`` for held-out features, as floats."""
    leakage_of = partial(
        feature_leakage, features, bias, rounds=rounds, seed=seed, attacker=attacker
    )
    plain, within = leakage_of(), leakage_of(target=target)
    return {
        "leakage/features": plain.mean,
        "leakage/features_given_target": within.mean,
        "leakage/features_deviation": plain.deviation,
        "leakage/features_given_target_deviation": within.deviation,
    }


def leakage(accuracy: float, values: int = 2) -> float:
    """Leakage from an attacker's accuracy; with two bias values, a < 1/2 becomes 1 - a."""
    # of two values, an attacker that is always wrong also identifies the bias; of more, it does not
    return 0.5 + abs(accuracy - 0.5) if values == 2 else accuracy


def attacker_accuracy(
    train: BiasRows,
    validation: BiasRows,
    test: BiasRows,
    *,
    attacker: Attacker,
    generator: Generator,
) -> float:
    """Accuracy on ``test`` of an attacker that learnt on ``train``.

    NaN if ``test`` is empty, or ``train`` has fewer than two bias values.
    """
    if len(test.bias) == 0 or len(torch.unique(train.bias)) < 2:
        return math.nan
    return share_right(attacker(train, validation, test.features, generator), test.bias.cpu())


def _round(rows: BiasRows, parts: list[Tensor], attacker: Attacker, generator: Generator) -> float:
    train, validation, test = (BiasRows(rows.features[part], rows.bias[part]) for part in parts)
    return attacker_accuracy(train, validation, test, attacker=attacker, generator=generator)


def _balanced_parts(
    classes: Tensor, codes: Tensor, values: int, generator: Generator
) -> list[Tensor]:
    """Training, validation and test rows: in each class, equally many per bias value."""
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
    leakages = torch.tensor(rounds, dtype=torch.float64)
    chance = 1 / values if values > 1 else math.nan
    return Leakage(leakages.mean().item(), leakages.std(correction=0).item(), rounds, chance)


def _checked(features: Tensor, bias: Tensor, target: Tensor | None) -> Tensor:
    """Return features as ``(N, D)``, after a check of all lengths and of finite values."""
    features = features.flatten(1) if features.ndim > 1 else features[:, None]
    lengths = {len(features), len(bias), len(bias if target is None else target)}
    if bias.ndim != 1 or len(lengths) > 1:
        shapes = [tuple(part.shape) for part in (features, bias, target) if part is not None]
        raise InputError(
            "features, bias and target must have one row per sample, and bias must be (N,); got "
            f"shapes {shapes}"
        )
    if not bool(features.isfinite().all()):
        raise InputError(
            "features must be finite; got NaN or infinity: check the model and the images that "
            "give it"
        )
    return features
