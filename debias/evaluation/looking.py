"""Where in pictures a trained model looks, and at which frequencies; slow, so on a share."""

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

#: How much of a pixel the colour of the map covers at most.
COVER = 0.7


def attention_scalars(
    parts: Parts, split: str = "test", *, most: int = 1000, progress: bool = True
) -> dict[str, float]:
    r"""How a model's Grad-CAM maps of the true class lie on the foregrounds.

    With several labels an image has a map for each, of the decision that was made on it (that of
    :math:`|z|`), which counts for the label's own groups.

    Args:
        parts: the objects of a run, with the weights that are to be judged; see
            :func:`maps_missing`.
        split: whose pictures are looked at; each needs a mask.
        most: how many maps are made, of images as :func:`chosen` takes them.
        progress: show a progress bar.

    Returns:
        The keys of :class:`debias.metrics.attention.scores.AttentionScores` for each of its
        ``SCORES``, over the images taken; NaN where no image defines a score.
    """
    groups = parts.groups
    maps_per_image = groups.outputs if groups.multi_label else 1
    summary = AttentionScores(groups)
    summary.distributed_available_fn = lambda: False  # every process looks at all of them
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
        parts: the objects of a run, with the weights that are to be judged.
        split: whose pictures are filtered.
        most: how many images, as :func:`chosen` takes them.
        progress: show a progress bar.

    Returns:
        ``accuracy/clean``, and after ``low_pass/`` and ``high_pass/`` the other keys of
        :func:`debias.metrics.frequency.bands.band_pass_scalars`, over the images taken.
    """
    device, data = parts.ready().device, parts.data
    read = partial(bands.band_pass_scalars, cutoffs=CUTOFFS)
    measured = {name: CellCounts(len(CUTOFFS) + 1, read).to(device) for name in FILTERS}
    for batch in _batches(parts, split, most, "filtering", progress):
        pixels, clean = _pixels(parts, batch.image), parts.decisions(batch)
        for name, counts in measured.items():
            answers = []
            for cutoff in CUTOFFS:
                filtered = FILTERS[name](pixels, cutoff=cutoff)
                image = (filtered - data.mean.view(3, 1, 1)) / data.std.view(3, 1, 1)
                answers.append(parts.decisions(batch._replace(image=image)))
            right = torch.stack([*answers, clean]) == batch.target
            cells = torch.arange(len(right), device=device).view(-1, *[1] * batch.target.ndim)
            counts.update(right, cells.expand_as(right))
    found = {
        f"{name}/{key}": value.item()
        for name, counts in measured.items()
        for key, value in counts.compute().items()
    }
    clean_accuracies = [found.pop(f"{name}/accuracy/clean") for name in FILTERS]
    return {"accuracy/clean": clean_accuracies[0], **found}


def attention_picture(parts: Parts, row: int) -> NDArray[np.uint8] | None:
    """One test image as the network reads it, under the Grad-CAM map of its true class.

    ``(H, W, 3)``: untouched where the map is 0, and red where it is greatest; ``None`` where there
    are no maps.
    """
    if maps_missing(parts):
        return None
    batch = parts.one(row)
    with torch.no_grad():
        prepared = parts.ready().strategy.prepare(batch.image)
    pixels = _pixels(parts, prepared)[0].permute(1, 2, 0).cpu().numpy()
    heat = _maps(parts, batch)[0].mean(dim=0).numpy()[..., None]
    turbo = cv2.applyColorMap((heat * 255).round().astype(np.uint8), cv2.COLORMAP_TURBO)
    colours = turbo[..., ::-1]
    blended = pixels * 255 * (1 - COVER * heat) + colours * COVER * heat
    covered: NDArray[np.uint8] = blended.round().astype(np.uint8)
    return covered


def chosen(parts: Parts, split: str, most: int) -> Tensor:
    """At most ``most`` rows of a split, always the same: groups take turns.

    In its turn a group gives one of its images at random, until it has none left. With several
    labels, a group is here a combination of labels and bias. So a mean over the images weights the
    groups alike, as far as they last.
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
    """``(N, 1, H, W)`` Grad-CAM maps of the true class, or ``(N, L, H, W)`` of all L labels."""
    if not parts.groups.multi_label:
        return explained(parts, batch.image, batch.target)[:, None]
    labels = range(parts.groups.outputs)
    maps = [explained(parts, batch.image, label, absolute=True) for label in labels]
    return torch.stack(maps, dim=1)


def maps_missing(parts: Parts) -> str:
    """Why a model has no Grad-CAM maps, found with an empty image; nothing if it has some."""
    parts.ready()
    try:
        check_places(parts)
    except InputError as error:
        return str(error)
    return ""


def _pixels(parts: Parts, image: Tensor) -> Tensor:
    return (image * parts.data.std.view(3, 1, 1) + parts.data.mean.view(3, 1, 1)).clamp(0, 1)
