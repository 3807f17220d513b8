"""Where in pictures a trained model looks, and at which frequencies; slow, so on a share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from debias.build import Parts
from debias.data.dataset import keep
from debias.data.orders import seeded_generator
from debias.errors import InputError
from debias.metrics import AttentionScores, BandPassAccuracy
from debias.metrics.attention.summary import attention_scores
from debias.metrics.frequency.bands import CUTOFFS, high_pass, low_pass
from debias.models.attribution import grad_cam
from debias.training import DebiasModule
from debias.types import Batch

FILTERS = {"low_pass": low_pass, "high_pass": high_pass}

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
            :func:`attention_missing`.
        split: whose pictures are looked at; each needs a mask.
        most: how many maps are made, of images as :func:`chosen` takes them.
        progress: show a progress bar.

    Returns:
        The keys of :func:`debias.metrics.attention.summary.score_scalars` for each of its
        ``SCORES``, over the images taken; NaN where no image defines a score.
    """
    groups = parts.examples.groups
    maps_per_image = groups.outputs if groups.multi_label else 1
    summary = AttentionScores(groups)
    summary.distributed_available_fn = lambda: False  # every process looks at all of them
    for batch in _batches(
        parts, split, max(most // maps_per_image, 1), f"attention on {split}", progress
    ):
        assert batch.mask is not None
        mask, maps = batch.mask[:, 0].cpu(), _maps(parts, batch)
        group = groups.encode(batch.target, batch.bias).view(len(mask), -1).cpu()
        right = (_predicted(parts, batch.image) == batch.target).view(len(mask), -1).cpu()
        for label in range(maps.shape[1]):
            summary.update(attention_scores(maps[:, label], mask), group[:, label], right[:, label])
    return {key: value.item() for key, value in summary.compute().items()}


def attention_missing(parts: Parts, split: str = "test") -> str:
    """Why :func:`attention_scalars` cannot be measured, in a sentence; empty if it can."""
    masks, rows = parts.examples.masks, parts.examples.rows(split).tolist()
    if not masks or not all(masks[row] for row in rows):
        return f"not every {split} image has a foreground mask: see `debias masks`"
    return _no_maps(parts)


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
    module, data = _ready(parts), parts.data
    measured = {name: BandPassAccuracy().to(module.device) for name in FILTERS}
    for batch in _batches(parts, split, most, f"filtering {split}", progress):
        pixels, clean = _pixels(parts, batch.image), _predicted(parts, batch.image)
        for name, band in measured.items():
            band.update(clean, batch.target, None)
            for cutoff in CUTOFFS:
                image = (
                    FILTERS[name](pixels, cutoff=cutoff) - data.mean.view(3, 1, 1)
                ) / data.std.view(3, 1, 1)
                band.update(_predicted(parts, image), batch.target, cutoff)
    found = {
        f"{name}/{key}": value.item()
        for name, band in measured.items()
        for key, value in band.compute().items()
    }
    clean_accuracies = [found.pop(f"{name}/accuracy/clean") for name in FILTERS]
    return {"accuracy/clean": clean_accuracies[0], **found}


def attention_picture(parts: Parts, row: int) -> NDArray[np.uint8] | None:
    """One test image as the network reads it, under the Grad-CAM map of its true class.

    ``(H, W, 3)``: untouched where the map is 0, and red where it is greatest; ``None`` where there
    are no maps.
    """
    if _no_maps(parts):
        return None
    position = parts.examples.rows("test").tolist().index(row)
    batch = next(_batches_of(parts, "test", [position]))
    with torch.no_grad():
        pixels = (
            _pixels(parts, parts.module.strategy.prepare(batch.image))[0]
            .permute(1, 2, 0)
            .cpu()
            .numpy()
        )
    heat = _maps(parts, batch)[0].mean(dim=0).numpy()[..., None]
    colours = cv2.applyColorMap((heat * 255).round().astype(np.uint8), cv2.COLORMAP_TURBO)[
        ..., ::-1
    ]
    blended: NDArray[np.uint8] = (
        (pixels * 255 * (1 - COVER * heat) + colours * COVER * heat).round().astype(np.uint8)
    )
    return blended


def chosen(parts: Parts, split: str, most: int) -> list[int]:
    """Positions in a split of at most ``most`` images, always the same: groups take turns.

    In its turn a group gives one of its images at random, until it has none left. With several
    labels, a group is here a combination of labels and bias. So a mean over the images weights the
    groups alike, as far as they last.
    """
    rows = parts.examples.rows(split)
    labels = torch.cat(
        [parts.examples.target[rows].view(len(rows), -1), parts.examples.bias[rows, None]], dim=1
    )
    group = torch.unique(labels, dim=0, return_inverse=True)[1]
    order = torch.randperm(len(rows), generator=seeded_generator(0))
    by_group = order[group[order].argsort(stable=True)]
    turn = torch.cat([torch.arange(count) for count in group.bincount().tolist()])
    positions: list[int] = by_group[turn.argsort(stable=True)][:most].tolist()
    return positions


def _batches(parts: Parts, split: str, most: int, title: str, progress: bool) -> Iterator[Batch]:
    positions = chosen(parts, split, most)
    with tqdm(
        total=len(positions), desc=title, unit="image", disable=None if progress else True
    ) as bar:
        for batch in _batches_of(parts, split, positions):
            yield batch
            bar.update(len(batch.index))


def _batches_of(parts: Parts, split: str, positions: list[int]) -> Iterator[Batch]:
    module, data = _ready(parts), parts.data
    # as large as in training: Grad-CAM keeps activations for a backward pass
    loader: DataLoader[Batch] = DataLoader(
        Subset(data.loader(split).dataset, positions),
        batch_size=data.batch_size,
        collate_fn=keep,  # type: ignore[arg-type]  # torch's stubs know no __getitems__
    )
    for batch in loader:
        yield data.on_after_batch_transfer(
            data.transfer_batch_to_device(batch, module.device, 0), 0
        )


def _maps(parts: Parts, batch: Batch) -> Tensor:
    """``(N, 1, H, W)`` Grad-CAM maps of the true class, or ``(N, L, H, W)`` of all L labels."""
    module, groups = _ready(parts), parts.examples.groups
    explain = partial(grad_cam, module.model, batch.image, classify=module.strategy.classify)
    if not groups.multi_label:
        return explain(target=batch.target).cpu()[:, None]
    return torch.stack(
        [explain(target=label, absolute=True).cpu() for label in range(groups.outputs)], dim=1
    )


def _no_maps(parts: Parts) -> str:
    """Why a model has no Grad-CAM maps, found with an empty image; nothing if it has some."""
    module, shape = _ready(parts), parts.data.preprocessing.evaluation
    image = torch.zeros(1, 3, shape.height, shape.width, device=module.device)
    try:
        places = grad_cam(module.model, image, target=0, upsample=False)[0].numel()
    except InputError as error:
        return str(error)
    size = f"{shape.height} x {shape.width}"
    return (
        ""
        if places > 1
        else f"of {size} pixels the model's last map has a single place: it needs larger images"
    )


def _predicted(parts: Parts, image: Tensor) -> Tensor:
    bf16 = parts.precision.startswith("bf16")
    with torch.no_grad(), torch.autocast(image.device.type, torch.bfloat16, enabled=bf16):
        logits = parts.module(image).logits
    return parts.examples.groups.predict(logits.float())


def _pixels(parts: Parts, image: Tensor) -> Tensor:
    return (image * parts.data.std.view(3, 1, 1) + parts.data.mean.view(3, 1, 1)).clamp(0, 1)


def _ready(parts: Parts) -> DebiasModule:
    return parts.module.to(torch.device(parts.accelerator)).eval()
