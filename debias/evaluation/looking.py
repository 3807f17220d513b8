"""Which image parts and frequencies a trained model uses; slow, so measured on some images."""

from collections.abc import Iterator
from functools import partial

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from debias.data.orders import seeded_generator
from debias.errors import InputError
from debias.evaluation.attention import check_places, explained
from debias.metrics.attention.maps import attention_scores
from debias.metrics.attention.scores import AttentionScores
from debias.metrics.exact_metrics import CellCounts
from debias.metrics.frequency import bands
from debias.metrics.frequency.bands import CUTOFFS
from debias.parts import Parts
from debias.types import Batch

FILTERS = {"low_pass": bands.low_pass, "high_pass": bands.high_pass}

#: Opacity of the map's colour where the map is greatest.
COVER = 0.7


def attention_scalars(
    parts: Parts, split: str = "test", *, most: int = 1000, progress: bool = True
) -> dict[str, float]:
    r"""Scores of how well a model's Grad-CAM maps of the true class agree with the foregrounds.

    With several labels per image, each label has its own map. That map explains the decision on the
    label (it is the map of :math:`|z|`), and counts for the label's own groups.

    Args:
        parts: the objects of a run, with the weights to evaluate. :func:`maps_missing` checks
            whether its model has maps.
        split: the split to evaluate; each of its images needs a mask.
        most: largest number of maps; :func:`chosen` chooses the images.
        progress: show a progress bar.

    Returns:
        The keys of :class:`debias.metrics.attention.scores.AttentionScores` for each of its
        ``SCORES``, over the chosen images. NaN if a score is undefined for all of them.
    """
    groups = parts.groups
    maps_per_image = groups.outputs if groups.multi_label else 1
    summary = AttentionScores(groups)
    summary.distributed_available_fn = lambda: False  # every process has all images
    images = max(most // maps_per_image, 1)
    for batch in _batches(parts, split, images, "attention on", progress):
        assert batch.mask is not None
        mask, maps = batch.mask[:, 0].cpu(), _maps(parts, batch)
        group = groups.encode(batch.target, batch.bias).view(len(mask), -1).cpu()
        right = (parts.decisions(batch) == batch.target).view(len(mask), -1).cpu()
        for label in range(maps.shape[1]):
            summary.update(attention_scores(maps[:, label], mask), group[:, label], right[:, label])
    return {key: value.item() for key, value in summary.compute().items()}


@torch.no_grad()
def band_pass_scalars(
    parts: Parts, split: str = "test", *, most: int = 1000, progress: bool = True
) -> dict[str, float]:
    """Accuracy on low-passed and high-passed images.

    Args:
        parts: the objects of a run, with the weights to evaluate.
        split: the split whose images are filtered.
        most: largest number of images; :func:`chosen` chooses them.
        progress: show a progress bar.

    Returns:
        ``accuracy/clean`` over the chosen images. The other keys of
        :func:`debias.metrics.frequency.bands.band_pass_scalars` have the prefix ``low_pass/`` or
        ``high_pass/``.
    """
    device, space = parts.ready().device, parts.space
    read = partial(bands.band_pass_scalars, cutoffs=CUTOFFS)
    measured = {name: CellCounts(len(CUTOFFS) + 1, read).to(device) for name in FILTERS}
    for batch in _batches(parts, split, most, "filtering", progress):
        pixels, clean = space.pixels(batch.image), parts.decisions(batch)
        for name, counts in measured.items():
            decisions = []
            for cutoff in CUTOFFS:
                image = space.normalised(FILTERS[name](pixels, cutoff=cutoff))
                decisions.append(parts.decisions(batch._replace(image=image)))
            right = torch.stack([*decisions, clean]) == batch.target
            cells = torch.arange(len(right), device=device).view(-1, *[1] * batch.target.ndim)
            counts.update(right, cells.expand_as(right))
    scalars = {
        f"{name}/{key}": value.item()
        for name, counts in measured.items()
        for key, value in counts.compute().items()
    }
    clean_accuracies = [scalars.pop(f"{name}/accuracy/clean") for name in FILTERS]
    return {"accuracy/clean": clean_accuracies[0], **scalars}


def attention_picture(parts: Parts, row: int) -> NDArray[np.uint8] | None:
    """One test image as the network receives it, overlaid with the Grad-CAM map of its true class.

    With several labels per image, the map is the mean over the labels.

    Returns:
        ``(H, W, 3)``: unchanged where the map is 0, and red where it is greatest. ``None`` if the
        model has no maps.
    """
    if maps_missing(parts):
        return None
    batch = parts.one(row)
    with torch.no_grad():
        prepared = parts.ready().strategy.prepare(batch.image)
    pixels = parts.space.pixels(prepared)[0].permute(1, 2, 0).cpu().numpy()
    heat = _maps(parts, batch)[0].mean(dim=0).numpy()[..., None]
    turbo = cv2.applyColorMap((heat * 255).round().astype(np.uint8), cv2.COLORMAP_TURBO)
    colours = turbo[..., ::-1]
    blended = pixels * 255 * (1 - COVER * heat) + colours * COVER * heat
    covered: NDArray[np.uint8] = blended.round().astype(np.uint8)
    return covered


def chosen(parts: Parts, split: str, most: int) -> Tensor:
    """Choose at most ``most`` rows of a split, always the same ones, in turn from each group.

    Each turn takes one random image of every group that has images left. A mean over the chosen
    images then gives all groups equal weight, until the small ones are used up. With several
    labels, a group is here one combination of labels and bias value.
    """
    rows = parts.examples.rows(split)
    target = parts.examples.target[rows].view(len(rows), -1)
    labels = torch.cat([target, parts.examples.bias[rows, None]], dim=1)
    group = torch.unique(labels, dim=0, return_inverse=True)[1]
    order = torch.randperm(len(rows), generator=seeded_generator(0))
    by_group = order[group[order].argsort(stable=True)]
    turn = torch.cat([torch.arange(count) for count in group.bincount().tolist()])
    return rows[by_group[turn.argsort(stable=True)][:most]]


def _batches(parts: Parts, split: str, most: int, title: str, progress: bool) -> Iterator[Batch]:
    parts.ready()
    loader = parts.loader(chosen(parts, split, most))
    return parts.batches(loader, f"{title} {split}", progress=progress)


def _maps(parts: Parts, batch: Batch) -> Tensor:
    """Grad-CAM maps: ``(N, 1, H, W)`` of the true class, or ``(N, L, H, W)`` of all L labels."""
    if not parts.groups.multi_label:
        return explained(parts, batch.image, batch.target)[:, None]
    labels = range(parts.groups.outputs)
    maps = [explained(parts, batch.image, label, absolute=True) for label in labels]
    return torch.stack(maps, dim=1)


def maps_missing(parts: Parts) -> str:
    """Why a model has no Grad-CAM maps, or an empty text if it has; tested on a blank image."""
    parts.ready()
    try:
        check_places(parts)
    except InputError as error:
        return str(error)
    return ""
