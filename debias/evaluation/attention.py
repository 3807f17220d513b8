"""Grad-CAM maps of a trained model, and foreground masks made from them."""

from collections.abc import Callable
from functools import partial

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
    """Make foreground masks by thresholding a trained model's Grad-CAM maps.

    The whole image is resized to the evaluation size of the model, so nothing is cropped. The mask
    has only the resolution of the layer. It marks what the model attends to: if that is the
    background, the mask marks the background.

    Args:
        parts: a finished run.
        threshold: least value of a foreground pixel, in (0, 1]; maps are scaled to [0, 1].
        target: the class that is explained: "true" or "predicted".
        layer: dotted name of the layer; by default the last one whose output has positions.

    Returns:
        A function from row and image to the image's mask. Without positive evidence for the class
        the mask is empty, and its ``found`` is false.

    Raises:
        ValueError: ``threshold`` is outside (0, 1], ``target`` is unknown, or images have several
            labels. The returned function raises it if captum is not installed, or if the layer's
            map has no positions or a single one.
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
                "the layer that gradcam reads has a single position: name an earlier one, layer=..."
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
    """Raise an error if :func:`attention_maps` cannot work, by a map of a blank image.

    Raises:
        ValueError: images have several labels, the layer's map has no positions or a single one, or
            captum is not installed.
    """
    check_one_class(parts)
    check_places(parts, layer=layer)


def check_one_class(parts: Parts) -> None:
    """Raise an error if the images of the data set have several labels.

    Raises:
        ValueError: they have several labels; the message names the data set.
    """
    if parts.examples.groups.multi_label:
        raise InputError(
            f"{parts.examples.source} has several labels per image: Grad-CAM explains one class"
        )


def check_places(parts: Parts, *, layer: str | None = None) -> None:
    """Raise an error if the layer's map has a single position, by a map of a blank image.

    Raises:
        ValueError: the map has no positions or a single one, or captum is not installed.
    """
    shape = parts.data.preprocessing.evaluation
    image = torch.zeros(1, 3, shape.height, shape.width, device=parts.module.device)
    if explained(parts, image, 0, layer=layer, upsample=False).numel() == 1:
        raise InputError(
            f"images of {shape.height} x {shape.width} pixels give a Grad-CAM map of a single "
            "position: train on larger images, or name an earlier layer with layer=..., if the "
            "component has that option"
        )


def attention_maps(
    parts: Parts,
    rows: Tensor,
    *,
    classes: Tensor | None = None,
    layer: str | None = None,
    cam: str = "grad_cam",
    progress: bool = True,
) -> Tensor:
    """Grad-CAM maps of some images for their classes. Images are resized without cropping.

    Args:
        parts: the objects of a run, with the weights that are to be explained.
        rows: ``(M,)`` int64 rows of the data set.
        classes: ``(M,)`` int64 class that is explained in each image; ``None`` for the true ones.
        layer: see :func:`gradcam`.
        cam: "grad_cam" or "xgrad_cam", see :func:`~debias.models.attribution.grad_cam`.
        progress: show a progress bar.

    Returns:
        ``(M, h, w)`` float32 in [0, 1], at the layer's own resolution.

    Raises:
        ValueError: see :func:`check_maps`.
    """
    parts.ready()
    loader = parts.loader(rows, whole=True)
    batches = parts.batches(loader, "where the model looks", progress=progress)
    explain = partial(explained, parts, layer=layer, upsample=False, cam=cam)
    maps: list[Tensor] = []
    for batch in batches:
        done = sum(map(len, maps))
        chosen = batch.target if classes is None else classes[done : done + len(batch.target)]
        maps.append(explain(batch.image, chosen.to(batch.target)))
    return torch.cat(maps)


def explained(
    parts: Parts,
    image: Tensor,
    target: Tensor | int,
    *,
    layer: str | None = None,
    absolute: bool = False,
    upsample: bool = True,
    cam: str = "grad_cam",
) -> Tensor:
    """Grad-CAM maps, on the CPU, of the logits that the run's strategy reads from the model.

    Arguments and result as in :func:`~debias.models.attribution.grad_cam`. The module keeps its
    mode, because a check before training may compute maps.
    """
    return grad_cam(
        parts.module.model,
        image,
        target=target,
        layer=layer,
        absolute=absolute,
        upsample=upsample,
        cam=cam,
        classify=parts.module.strategy.classify,
    ).cpu()
