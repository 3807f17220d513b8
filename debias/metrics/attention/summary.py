"""Scores of attribution maps, averaged over all images, right and wrong ones, groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.accuracy.counts import aligned_groups
from debias.metrics.attention.maps import (
    attention_iou,
    background_attention,
    pointing_game,
    rank_accuracy,
    thresholded_iou,
)
from debias.metrics.shortcuts.recombination import foreground_focus
from debias.types import Groups

SCORES = {
    "attention_iou": attention_iou,
    "background_attention": background_attention,
    "foreground_focus": foreground_focus,
    "thresholded_iou": thresholded_iou,
    "rank_accuracy": rank_accuracy,
    "pointing_game": pointing_game,
}


class ScoreSums(NamedTuple):
    """Sums of S scores by group and correctness, each ``(S, G + 1, 2)``; last: unknown bias.

    Attributes:
        total: float64 sum of the defined scores.
        squares: float64 sum of their squares.
        defined: int64, how many are not NaN.
        undefined: int64, how many are NaN.
    """

    total: Tensor
    squares: Tensor
    defined: Tensor
    undefined: Tensor


def attention_scores(attention: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Every score of ``(N, H, W)`` maps against ``(N, H, W)`` foregrounds: ``(N,)`` by name."""
    return {name: score(attention, mask) for name, score in SCORES.items()}


def score_sums(scores: Tensor, group: Tensor, correct: Tensor, groups: Groups) -> ScoreSums:
    """What has to be added up of some images' scores.

    Args:
        scores: ``(S, N)`` float, NaN where undefined.
        group: ``(N,)`` int64 as ``Groups.encode`` numbers them, -1 where the bias is unknown.
        correct: ``(N,)`` bool, whether the prediction was right.
        groups: names and numbering of the groups.

    Raises:
        ValueError: the shapes do not fit, or a group is out of range.
    """
    check_scores(scores, group, correct)
    if len(group) and not -1 <= int(group.min()) <= int(group.max()) < groups.count:
        raise InputError(
            f"groups {sorted(set(group.tolist()))} are not all within [-1, {groups.count})"
        )
    return _sums(scores, group, correct, groups)


def add_scores(
    sums: ScoreSums, scores: Tensor, group: Tensor, correct: Tensor, groups: Groups
) -> ScoreSums:
    """Sums with one batch added; waits for no device, and clamps a group out of range."""
    check_scores(scores, group, correct)
    batch = _sums(scores, group.clamp(-1, groups.count - 1), correct, groups)
    return ScoreSums(*(old + new for old, new in zip(sums, batch, strict=True)))


def check_scores(scores: Tensor, group: Tensor, correct: Tensor) -> None:
    """Refuse shapes that do not fit; looks at no value."""
    if scores.ndim != 2 or group.shape != scores.shape[1:] or correct.shape != group.shape:
        raise InputError(
            f"scores must be (S, N), group and correct (N,); got {tuple(scores.shape)}, "
            f"{tuple(group.shape)} and {tuple(correct.shape)}: when multi-label, give one label's "
            "column at a time"
        )


def score_scalars(sums: ScoreSums, names: Sequence[str], groups: Groups) -> dict[str, Tensor]:
    """Means of the defined scores, under keys that depend on the names and the groups only.

    Source: the aggregates of aaronserianni/attention-iou. What it calls "same" and "different" on
    Waterbirds are the groups of ``groups.aligned`` and the others, pooled by image.

    Args:
        sums: as :func:`score_sums` returns them, over all images.
        names: of the S scores.
        groups: names and numbering of the groups.

    Returns:
        float64 scalars ``NAME`` (over all images, of unknown bias too), ``NAME/correct``,
        ``NAME/wrong``, ``NAME/bias_aligned`` and ``NAME/bias_conflicting`` (if ``groups.aligned``),
        ``NAME/<group>``; each is NaN only where no image defines it. ``NAME/deviation`` is the
        standard deviation of the mean over all images, the limit of that of bootstrap means;
        ``NAME/undefined`` the share of images without a score.
    """
    parts = _parts(groups)
    scalars: dict[str, Tensor] = {}
    for row, name in enumerate(names):
        total, squares, defined, undefined = (part[row] for part in sums)
        scalars[name] = mean = total.sum() / defined.sum()
        variance = (squares.sum() / defined.sum() - mean.square()).clamp(min=0)
        scalars[f"{name}/deviation"] = (variance / defined.sum()).sqrt()
        scalars[f"{name}/undefined"] = undefined.sum().double() / (undefined.sum() + defined.sum())
        scalars |= {
            f"{name}/{part}": total[where].sum() / defined[where].sum()
            for part, where in parts.items()
        }
    return scalars


def resampled_means(
    scores: Tensor, *, generator: torch.Generator, resamples: int = 10_000
) -> Tensor:
    """Means of bootstrap samples of ``(N,)`` scores, NaN left out: ``(resamples,)`` float64, NaN if
    none is defined.

    Their standard deviation is what Attention-IoU's tables give beside the mean;
    ``percentile_interval`` makes an interval of them.
    """
    known = scores.double()[~scores.isnan()]
    if not len(known):
        return torch.full((resamples,), torch.nan, dtype=torch.float64)
    size = (len(known),)
    draws = [
        known[torch.randint(len(known), size, generator=generator)].mean() for _ in range(resamples)
    ]
    return torch.stack(draws)


def attention_report(
    attention: Tensor, mask: Tensor, group: Tensor, correct: Tensor, groups: Groups
) -> dict[str, float]:
    """Every score of a split's maps and its means, as floats; see :func:`score_scalars`.

    Args:
        attention: ``(N, H, W)`` attribution maps, at least 0.
        mask: ``(N, H, W)`` foregrounds in [0, 1].
        group, correct, groups: as in :func:`score_sums`.
    """
    scores = attention_scores(attention, mask)
    sums = score_sums(torch.stack(list(scores.values())), group, correct, groups)
    return {key: value.item() for key, value in score_scalars(sums, list(scores), groups).items()}


def _sums(scores: Tensor, group: Tensor, correct: Tensor, groups: Groups) -> ScoreSums:
    slots = groups.count + 1
    # a remainder is never negative here: it sends -1, the unknown, to the last slot
    cell = group.remainder(slots) * 2 + correct.long()
    scores = scores.double()
    known = (~scores.isnan()).long()
    values = scores.nan_to_num()
    columns = (values, values.square(), known, 1 - known)
    tables = (
        column.new_zeros(len(scores), slots * 2).index_add(1, cell, column) for column in columns
    )
    return ScoreSums(*(table.view(-1, slots, 2) for table in tables))


def _parts(groups: Groups) -> dict[str, Tensor]:
    """Which cells ``(G + 1, 2)`` of the table belong to each part of the data."""
    cells = torch.zeros(groups.count + 1, 2, dtype=torch.bool)
    correct, wrong = cells.clone(), cells.clone()
    correct[:, 1], wrong[:, 0] = True, True
    parts = {"correct": correct, "wrong": wrong}
    if groups.aligned:
        aligned, conflicting = cells.clone(), cells.clone()
        aligned[:-1], conflicting[:-1] = (
            aligned_groups(groups)[:, None],
            ~aligned_groups(groups)[:, None],
        )
        parts |= {"bias_aligned": aligned, "bias_conflicting": conflicting}
    for number, name in enumerate(groups.names):
        parts[name] = cells.clone()
        parts[name][number] = True
    return parts
