"""Masks from where a trained model looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from debias import config as configs
from debias.build import Parts, build
from debias.data.dataset import ImageDataset, keep
from debias.data.masks.grabcut import Made
from debias.data.pictures.geometry import Geometry, Pixels, Resize
from debias.data.pictures.image_files import ImageFiles
from debias.errors import InputError
from debias.evaluation.predictions import load_weights
from debias.evaluation.saved import trained_config
from debias.models.attribution import grad_cam
from debias.reports.run_folder import read_report
from debias.types import Batch

CLASSES = ("true", "predicted")


def finished(run: Path, overrides: Sequence[str] = ()) -> Parts:
    """The objects of a finished run, with the weights of its selected epoch.

    Args:
        run: the run's folder.
        overrides: of its config, such as where the data lies now.

    Raises:
        ValueError: no finished run there, or its data or weights do not fit.
    """
    epoch = read_report(run)["selection"]["epoch"]
    fresh = ("model.pretrained=false", "model.weights=null", "cache=false")
    parts = build(configs.from_plain(configs.plain(trained_config(run)), [*overrides, *fresh]))
    load_weights(parts.module, run / "checkpoints" / f"epoch={epoch:03d}.ckpt")
    parts.module.model.to(parts.accelerator).eval()
    return parts


def gradcam(
    parts: Parts, *, threshold: float = 0.5, target: str = "true", layer: str | None = None
) -> Callable[[int, Pixels], Made]:
    """Take for foreground what speaks for a class to a trained model, by its Grad-CAM.

    The whole picture is squeezed to the size that the model was trained at, so nothing of it is cut
    off. The map knows a place as coarsely as the layer does, and it shows what the model looks at:
    where that is the background, so is the mask.

    Args:
        parts: a finished run.
        threshold: share of the map's range, in (0, 1].
        target: the class that is explained: "true" or "predicted".
        layer: dotted name of the layer; left out, the last one that still knows places.

    Returns:
        What makes the mask of a row. Where nothing speaks for the class the mask is empty, and not
        found.

    Raises:
        ValueError: an option out of range, several labels an image; and, once it is asked, captum
            is not installed, or a layer that knows no places.
    """
    if not 0 < threshold <= 1 or target not in CLASSES:
        raise InputError(
            f"gradcam needs threshold in (0, 1] and target one of {', '.join(CLASSES)}; got "
            f"threshold={threshold}, target={target!r}"
        )
    if parts.examples.groups.multi_label:
        raise InputError(
            f"{parts.examples.source} has several labels an image: gradcam explains one class"
        )
    shape, model = parts.data.preprocessing.evaluation, parts.module.model
    mean, std = parts.data.mean[:, None, None], parts.data.std[:, None, None]

    def make(row: int, image: Pixels) -> Made:
        """The mask of one image, from its Grad-CAM."""
        pixels = torch.from_numpy(Resize(shape.height, shape.width)(image)).permute(2, 0, 1)
        batch = ((pixels / 255 - mean) / std)[None].to(parts.accelerator)
        chosen = parts.examples.target[row] if target == "true" else _predicted(model, batch)
        attention = (
            grad_cam(model, batch, target=int(chosen), layer=layer, upsample=False)[0].cpu().numpy()
        )
        if attention.size == 1:
            raise InputError(
                "the layer that gradcam reads has a single place: name an earlier one, layer=..."
            )
        enlarged = cv2.resize(attention, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        mask = (enlarged >= threshold) * np.uint8(255)
        return Made(mask, bool(mask.any()))

    return make


def check_maps(parts: Parts, *, layer: str | None = None) -> None:
    """Refuse what :func:`attention_maps` makes nothing of, by a map of an empty picture.

    Raises:
        ValueError: several labels an image, a layer that knows no places, or captum is not
            installed.
    """
    if parts.examples.groups.multi_label:
        raise InputError(
            f"{parts.examples.source} has several labels an image: a map of attention explains one "
            "class"
        )
    shape, module = parts.data.preprocessing.evaluation, parts.module
    image = torch.zeros(1, 3, shape.height, shape.width, device=module.device)
    classify = module.strategy.classify
    if (
        grad_cam(
            module.model, image, target=0, layer=layer, upsample=False, classify=classify
        ).numel()
        == 1
    ):
        raise InputError(
            f"of {shape.height} x {shape.width} pixels the layer that is explained has a single "
            "place: name an earlier one, layer=..., or train on larger pictures"
        )


def attention_maps(
    parts: Parts, rows: Tensor, *, layer: str | None = None, progress: bool = True
) -> Tensor:
    """Grad-CAM maps of the true classes of some rows' whole pictures, at the evaluated size.

    Args:
        parts: the objects of a run, with the weights that are to be explained.
        rows: ``(M,)`` int64.
        layer: see :func:`gradcam`.
        progress: show a progress bar.

    Returns:
        ``(M, h, w)`` float32 in [0, 1], at the layer's own resolution.

    Raises:
        ValueError: see :func:`check_maps`.
    """
    module = parts.module.to(torch.device(parts.accelerator)).eval()
    explain = partial(
        grad_cam, module.model, layer=layer, upsample=False, classify=module.strategy.classify
    )
    batches = whole_pictures(parts, rows, description="where the model looks", progress=progress)
    maps = [explain(batch.image, target=batch.target).cpu() for batch in batches]
    return torch.cat(maps)


def whole_pictures(
    parts: Parts, rows: Tensor, *, description: str, progress: bool = True
) -> Iterator[Batch]:
    """Some rows' whole pictures in batches, squeezed to the size that is evaluated, normalised,
    where it is computed.

    Args:
        parts: the objects of a run.
        rows: ``(M,)`` int64.
        description: of the progress bar.
        progress: whether there is one.
    """
    data, device = parts.data, torch.device(parts.accelerator)
    images = tuple(parts.examples.images[row] for row in rows.tolist())
    height, width = data.preprocessing.evaluation.height, data.preprocessing.evaluation.width
    files = ImageFiles(
        parts.examples.root, images, None, (), Geometry((Resize(height, width),), height, width)
    )
    loader: DataLoader[Batch] = DataLoader(
        ImageDataset(parts.examples, rows, files),
        batch_size=data.batch_size,
        num_workers=data.workers,
        collate_fn=keep,  # type: ignore[arg-type]  # torch's stubs know no __getitems__
    )
    for batch in tqdm(loader, desc=description, unit="batch", disable=None if progress else True):
        yield data.on_after_batch_transfer(data.transfer_batch_to_device(batch, device, 0), 0)


def _predicted(model: torch.nn.Module, batch: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(batch).logits
    return logits.argmax()
