"""Numbers of a model's reliance on parts of pictures, from accuracies and predictions."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from debias.audits.leaning.paired import curve_area

#: Features of a class that are ranked, the most important ones.
FEATURES = 15


def relative_foreground_sensitivity(foreground: float, background: float) -> float:
    r"""Relative foreground sensitivity: how much more noise on the foreground hurts.

    .. math:: \mathrm{RFS} = \frac{a_b - a_f}{2 \min(\bar a, 1 - \bar a)},
              \qquad \bar a = (a_f + a_b) / 2

    Source: Moayeri et al., "A Comprehensive Study of Image Classification Model Sensitivity to
    Foregrounds, Backgrounds, and Visual Attributes", CVPR 2022; reference code
    mmoayeri/HardImageNet, ``rfs.py``.

    Args:
        foreground: class-averaged accuracy with noise on the foreground only, in [0, 1].
        background: class-averaged accuracy with noise on the background only.

    Returns:
        In [-1, 1]; high if the model leans on the foreground. 0 if both accuracies are 0 or 1.

    Example:
        >>> round(relative_foreground_sensitivity(0.5, 0.8), 4)
        0.4286
    """
    mean = (foreground + background) / 2
    if mean in (0, 1):
        return 0.0
    return (background - foreground) / (2 * min(mean, 1 - mean))


def perceptual_score(accuracy: float, permuted: float, majority: float) -> float:
    r"""How much of what a model has learnt is lost if one part comes from another image.

    .. math:: (\mathrm{acc} - \mathrm{acc}_\mathrm{permuted}) / (\mathrm{acc} - \mathrm{majority})

    Source: Gat et al., "Perceptual Score: What Data Modalities Does Your Model Perceive?", NeurIPS
    2021; reference code itaigat/perceptual-score.

    Args:
        accuracy: accuracy on the untouched images.
        permuted: accuracy if the part comes from a random other image.
        majority: accuracy without looking at the image.

    Returns:
        0 if the part does not matter, 1 if nothing is left. NaN if the model is no better than
        ``majority``.

    Differs from the reference: its released example permutes the part in both accuracies, so that
    the score is 0. Here the first accuracy is that of the untouched images.
    """
    learnt = accuracy - majority
    return (accuracy - permuted) / learnt if learnt > 0 else math.nan


class Attraction(NamedTuple):
    """What a stamp does to pictures of other classes.

    Attributes:
        gap: accuracy with the stamp minus accuracy without it.
        attraction: share of the pictures that are called the stamp's class with the stamp, minus
            the share without it.
        images: number of pictures.
    """

    gap: float
    attraction: float
    images: int


def attraction(
    before: NDArray[np.int64], after: NDArray[np.int64], target: NDArray[np.int64], *, to: int
) -> Attraction:
    """How a stamp draws pictures of other classes towards the class that it belongs to.

    Source: Li et al., "A Whac-A-Mole Dilemma", CVPR 2023; reference code
    facebookresearch/Whac-A-Mole, ``eval_watermark_shortcut.py``, in a general form.

    Args:
        before: ``(N,)`` int64 decisions on the pictures without the stamp.
        after: ``(N,)`` int64 decisions on the same pictures with it.
        target: ``(N,)`` int64 classes; pictures of the class ``to`` are left out.
        to: the class whose stamp it is.
    """
    others = target != to
    one, two, three = before[others], after[others], target[others]
    if not len(three):
        return Attraction(math.nan, math.nan, 0)
    gap = float((two == three).mean() - (one == three).mean())
    return Attraction(gap, float((two == to).mean() - (one == to).mean()), len(three))


def patch_selectivity(accuracies: list[float], shares: list[float]) -> float:
    """Mean accuracy over shares of patches from other classes: the area under their curve.

    Source: the question of Patch Mixing (Lee et al., "Hardwiring ViT Patch Selectivity into CNNs
    using Patch Mixing", 2023); the area is this project's choice.

    Args:
        accuracies: accuracy at each share.
        shares: increasing shares of patches that come from images of other classes.
    """
    return curve_area(accuracies, shares)


class FeatureGap(NamedTuple):
    """One feature that is important for a class, and how much accuracy depends on it.

    Attributes:
        target: the class.
        feature: number of the feature.
        top: accuracy on the images of the class with the highest values of the feature.
        bottom: accuracy on those with the lowest values.
        gap: ``top - bottom``.
        highest: positions of the images with the highest values, highest first.
        lowest: positions of those with the lowest values, lowest first.
    """

    target: int
    feature: int
    top: float
    bottom: float
    gap: float
    highest: tuple[int, ...]
    lowest: tuple[int, ...]


def spuriosity_gaps(
    features: NDArray[np.float32],
    weight: NDArray[np.float32],
    target: NDArray[np.int64],
    right: NDArray[np.bool_],
    *,
    images: int = 100,
) -> list[FeatureGap]:
    """Rank the images of each class by its important features, and compare both ends.

    The importance of a feature is its mean on the class's images, times the weight of the head.

    A person says which feature is the object and which is not; the gap needs no labels.

    Source: Moayeri et al., "Spuriosity Rankings: Sorting Data to Measure and Mitigate Biases",
    NeurIPS 2023; reference code mmoayeri/spuriosity-rankings.

    Args:
        features: ``(N, D)`` inputs of the last layer.
        weight: ``(C, D)`` weights of the last layer.
        target: ``(N,)`` int64 classes.
        right: ``(N,)`` bool, whether the model is right.
        images: number of images at each end; at most half of the class.

    Returns:
        The ``FEATURES`` most important features of each class, greatest gap first.
    """
    gaps: list[FeatureGap] = []
    for one in np.unique(target).tolist():
        rows = (target == one).nonzero()[0]
        size = min(images, len(rows) // 2)
        importance = features[rows].mean(axis=0, dtype=np.float64) * weight[one]
        for feature in (-importance).argsort(kind="stable")[:FEATURES].tolist() if size else []:
            order = rows[features[rows, feature].argsort(kind="stable")]
            low, high = order[:size], order[::-1][:size]
            top, bottom = float(right[high].mean()), float(right[low].mean())
            ends = tuple(high.tolist()), tuple(low.tolist())
            gaps.append(FeatureGap(one, feature, top, bottom, top - bottom, *ends))
    return sorted(gaps, key=lambda each: -each.gap)
