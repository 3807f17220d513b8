"""Groups to train on, from what a cue says, and how much a model follows the cue."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from debias.audits.cues.probing import RESAMPLES, Measured, Rows

#: Images against the cue from which on there are enough of them.
ENOUGH = 50


class Followed(NamedTuple):
    """How much a classifier follows a cue.

    Attributes:
        agreeing: its accuracy on images where the cue says their class.
        disagreeing: its accuracy where the cue says another class.
        difference: the first minus the second, with its interval.
        against: number of images where the cue says another class.
    """

    agreeing: float
    disagreeing: float
    difference: Measured
    against: int


class Match(NamedTuple):
    """How well the images against a cue match the images that conflict with known bias labels.

    Attributes:
        precision: share of the images against the cue that conflict.
        recall: share of the conflicting images that are against the cue.
        conflicting: number of conflicting images.
    """

    precision: float
    recall: float
    conflicting: int


def followed(correct: NDArray[np.bool_], word: Rows, target: Rows, *, seed: int) -> Followed:
    r"""Accuracy where a cue agrees with the target, and where it does not.

    .. math:: \frac{1}{|K|} \sum_{c \in K} P(\hat y = y \mid y = c, w = c)
              - P(\hat y = y \mid y = c, w \ne c)

    with w the class that the cue says, and K the classes with images on both sides. The interval is
    that of draws from the posterior of each accuracy, within class and side, with Jeffreys' prior.
    A bootstrap would give no interval to the accuracy of two images that are both wrong.

    Args:
        correct: ``(N,)`` bool: whether the classifier is right on each held-out image.
        word: ``(N,)`` class that the cue says.
        target: ``(N,)`` classes.
        seed: seed of the draws.

    Returns:
        Accuracies in [0, 1]; NaN if no class has images on both sides.

    Example:
        >>> word, target = np.array([0, 0, 1, 1, 1, 0]), np.array([0, 0, 0, 1, 1, 1])
        >>> followed(np.array([1, 1, 0, 1, 1, 1], bool), word, target, seed=0)[:2]  # 1, (0 + 1) / 2
        (1.0, 0.5)
    """
    rng = np.random.default_rng(seed)
    agrees, sides = word == target, []
    for c in np.unique(target):
        parts = [correct[(target == c) & side] for side in (agrees, ~agrees)]
        if all(len(part) for part in parts):
            right = [(part.sum() + 0.5, (~part).sum() + 0.5) for part in parts]
            drawn = [rng.beta(*pair, RESAMPLES) for pair in right]
            sides.append([np.r_[part.mean(), one] for part, one in zip(parts, drawn, strict=True)])
    against = int((~agrees).sum())
    if not sides:
        return Followed(math.nan, math.nan, Measured(math.nan, math.nan, math.nan), against)
    agreeing, disagreeing = np.mean(sides, axis=0)
    difference = agreeing - disagreeing
    low, high = np.quantile(difference[1:], [0.025, 0.975])
    value = float(difference[0])
    measured = Measured(value, min(value, float(low)), max(value, float(high)))
    return Followed(float(agreeing[0]), float(disagreeing[0]), measured, against)


def usefulness(follows: Followed) -> float:
    """Rank of a proposal: the lower bound of the difference, less if few images are against it.

    Returns:
        ``difference.low * min(1, against / 50)``; minus infinity if the difference is unknown.
    """
    low = follows.difference.low
    return -math.inf if math.isnan(low) else low * min(1, follows.against / ENOUGH)


def matched(word: Rows, target: Rows, bias: Rows) -> Match | None:
    """Compare the images against a cue with those whose bias label is not their class's usual one.

    Args:
        word: ``(N,)`` class that the cue says.
        target: ``(N,)`` classes.
        bias: ``(N,)`` bias labels; rows with -1 are left out.

    Returns:
        ``None`` if no image has a bias label, or none conflicts.

    Example:
        >>> word, target = np.array([0, 0, 1, 1, 0, 0]), np.array([0, 0, 0, 1, 1, 1])
        >>> matched(word, target, np.array([5, 5, 7, 7, 7, 5]))
        Match(precision=0.6666666666666666, recall=1.0, conflicting=2)
    """
    known = bias >= 0
    word, target = word[known], target[known]
    conflicts, against = conflicting(target, bias[known]), word != target
    if not conflicts.any() or not against.any():
        return None
    hits = int((against & conflicts).sum())
    return Match(hits / int(against.sum()), hits / int(conflicts.sum()), int(conflicts.sum()))


def conflicting(target: Rows, bias: Rows) -> NDArray[np.bool_]:
    """``(N,)`` bool: whether the bias label is not the usual one of the class.

    Args:
        target: ``(N,)`` classes.
        bias: ``(N,)`` bias labels, at least 0.
    """
    conflicts = np.zeros(len(bias), bool)
    for c in np.unique(target):
        members = target == c
        conflicts[members] = bias[members] != np.bincount(bias[members]).argmax()
    return conflicts


def smallest_group(word: Rows, target: Rows) -> int:
    """Number of images of the smallest group (target, what the cue says) that occurs."""
    return int(np.unique(np.stack([target, word]), axis=1, return_counts=True)[1].min())
