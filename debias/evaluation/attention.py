"""Masks from where a trained model looks."""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from debias.data.masks.grabcut import Made
from debias.data.pictures.geometry import Pixels, Resize
from debias.errors import InputError, check_between, check_one_of
from debias.models.attribution import grad_cam
from debias.parts import Parts

CLASSES = ("true", "predicted")


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
    check_between("(0, 1]", {"threshold": threshold}, of="gradcam")
    check_one_of(CLASSES, {"target": target}, of="gradcam")
    check_one_class(parts)
    shape, model = parts.data.preprocessing.evaluation, parts.module.model
    mean, std = parts.data.mean[:, None, None], parts.data.std[:, None, None]

    def make(row: int, image: Pixels) -> Made:
        """The mask of one image, from its Grad-CAM."""
        pixels = torch.from_numpy(Resize(shape.height, shape.width)(image)).permute(2, 0, 1)
        batch = ((pixels / 255 - mean) / std)[None].to(parts.accelerator)
        chosen = parts.examples.target[row] if target == "true" else _predicted(model, batch)
        maps = grad_cam(model, batch, target=int(chosen), layer=layer, upsample=False)
        attention = maps[0].cpu().numpy()
        if attention.size == 1:
            raise InputError(
                "the layer that gradcam reads has a single place: name an earlier one, layer=..."
            )
        enlarged = cv2.resize(attention, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        mask = (enlarged >= threshold) * np.uint8(255)
        return Made(mask, bool(mask.any()))

    return make


def _predicted(model: nn.Module, image: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model(image).logits
    return logits.argmax()


def check_maps(parts: Parts, *, layer: str | None = None) -> None:
    """Refuse what :func:`attention_maps` makes nothing of, by a map of an empty picture.

    Raises:
        ValueError: several labels an image, a layer that knows no places, or captum is not
            installed.
    """
    check_one_class(parts)
    check_places(parts, layer=layer)


def check_one_class(parts: Parts) -> None:
    """Refuse data with several labels an image.

    Raises:
        ValueError: naming the data.
    """
    if parts.examples.groups.multi_label:
        raise InputError(
            f"{parts.examples.source} has several labels an image: Grad-CAM explains one class"
        )


def check_places(parts: Parts, *, layer: str | None = None) -> None:
    """Refuse a layer of a single place, by a map of an empty picture.

    Raises:
        ValueError: the layer knows no places, or captum is not installed.
    """
    shape = parts.data.preprocessing.evaluation
    image = torch.zeros(1, 3, shape.height, shape.width, device=parts.module.device)
    if explained(parts, image, 0, layer=layer, upsample=False).numel() == 1:
        raise InputError(
            f"of {shape.height} x {shape.width} pixels the layer that is explained has a single "
            "place: train on larger pictures, or name an earlier layer where there is layer=..."
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
    parts.ready()
    loader = parts.loader(rows, whole=True)
    batches = parts.batches(loader, "where the model looks", progress=progress)
    return torch.cat(
        [explained(parts, each.image, each.target, layer=layer, upsample=False) for each in batches]
    )


def explained(
    parts: Parts,
    image: Tensor,
    target: Tensor | int,
    *,
    layer: str | None = None,
    absolute: bool = False,
    upsample: bool = True,
) -> Tensor:
    """Grad-CAM maps of a run's model as its strategy reads it, on the CPU; see :func:`grad_cam`.

    The module is left in its mode: a check before training may ask for maps.
    """
    return grad_cam(
        parts.module.model,
        image,
        target=target,
        layer=layer,
        absolute=absolute,
        upsample=upsample,
        classify=parts.module.strategy.classify,
    ).cpu()
