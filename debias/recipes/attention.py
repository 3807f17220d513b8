"""Masks from where a trained model looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from debias import config as configs
from debias.build import Parts, build
from debias.data.geometry import Pixels, Resize
from debias.data.masking import Made
from debias.models.attribution import grad_cam
from debias.recipes.evaluation import load_weights
from debias.reports.run_folder import read_report

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
    parts = build(configs.read(configs.evaluated(run), [*overrides, *fresh]))
    load_weights(parts.module, run / "checkpoints" / f"epoch={epoch:03d}.ckpt")
    parts.module.model.to(parts.accelerator).eval()
    return parts


def gradcam(
    parts: Parts, *, threshold: float = 0.5, target: str = "true", layer: str | None = None
) -> Callable[[int, Pixels], Made]:
    """Take for foreground what speaks for a class to a trained model: its Grad-CAM from a threshold on.

    The whole picture is squeezed to the size that the model was trained at, so nothing of it is cut off. The map knows
    a place as coarsely as the layer does, and it shows what the model looks at: where that is the background, so is
    the mask.

    Args:
        parts: a finished run.
        threshold: share of the map's range, in (0, 1].
        target: the class that is explained: "true" or "predicted".
        layer: dotted name of the layer; left out, the last one that still knows places.

    Returns:
        What makes the mask of a row. Where nothing speaks for the class the mask is empty, and not found.

    Raises:
        ValueError: an option out of range, several labels an image; and, once it is asked, captum is not
            installed, or a layer that knows no places.
    """
    if not 0 < threshold <= 1 or target not in CLASSES:
        raise ValueError(
            f"gradcam needs threshold in (0, 1] and target one of {', '.join(CLASSES)}; got threshold={threshold}, "
            f"target={target!r}"
        )
    if parts.examples.groups.multi_label:
        raise ValueError(f"{parts.examples.source} has several labels an image: gradcam explains one class")
    shape, model = parts.data.preprocessing.evaluation, parts.module.model
    mean, std = parts.data.mean[:, None, None], parts.data.std[:, None, None]

    def make(row: int, image: Pixels) -> Made:
        """The mask of one image, from its Grad-CAM."""
        pixels = torch.from_numpy(Resize(shape.height, shape.width)(image)).permute(2, 0, 1)
        batch = ((pixels / 255 - mean) / std)[None].to(parts.accelerator)
        chosen = parts.examples.target[row] if target == "true" else _predicted(model, batch)
        attention = grad_cam(model, batch, target=int(chosen), layer=layer, upsample=False)[0].cpu().numpy()
        if attention.size == 1:
            raise ValueError("the layer that gradcam reads has a single place: name an earlier one, layer=...")
        enlarged = cv2.resize(attention, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        mask = (enlarged >= threshold) * np.uint8(255)
        return Made(mask, bool(mask.any()))

    return make


def _predicted(model: torch.nn.Module, batch: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(batch).logits
    return logits.argmax()
