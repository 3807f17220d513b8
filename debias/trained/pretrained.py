"""Networks of timm with their own thousand classes of ImageNet and their own preprocessing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
from torch import Tensor

from debias.data.class_maps import WNIDS
from debias.data.pictures.geometry import Geometry, Pixels
from debias.errors import InputError
from debias.models.classifier import Classifier, timm_classifier
from debias.models.weights import read_state_dict
from debias.trained.picture_model import PictureModel
from debias.types import Groups


@dataclass(frozen=True)
class TimmSteps:
    """The resizing and cropping of timm for evaluation, computed by PIL.

    Args:
        height, width: size of the result.
        interpolation: filter of the resizing, such as "bicubic".
        crop_pct: side of the crop divided by the shorter side of the resized picture.
        crop_mode: "center", "squash" or "border".
        fill: colour of a border, in [0, 1]; timm takes the mean of the weights.
    """

    height: int
    width: int
    interpolation: str
    crop_pct: float
    crop_mode: str
    fill: tuple[float, ...]

    def __call__(self, pixels: Pixels) -> Pixels:
        """Bring ``(H, W, 3)`` uint8 pixels to ``(height, width, 3)``."""
        planes: Tensor = self._transform(Image.fromarray(pixels))
        return np.ascontiguousarray(planes.permute(1, 2, 0).numpy())

    @cached_property
    def _transform(self) -> Any:
        return create_transform(
            (3, self.height, self.width),
            interpolation=self.interpolation,
            crop_pct=self.crop_pct,
            crop_mode=self.crop_mode,
            mean=self.fill,
            normalize=False,  # the result is uint8
        )


def pretrained(name: str, weights: str | None = None) -> PictureModel:
    """A network of timm with its classifier of ImageNet's thousand classes, in evaluation mode.

    Pictures are resized and cropped as timm says for these weights: crop, interpolation, mean and
    standard deviation.

    Args:
        name: timm's name of the network, as in "resnet50.a1_in1k".
        weights: path of a state dict with timm's keys, with a head of a thousand classes. By
            default timm downloads its own weights on first use.

    Raises:
        ValueError: timm has no such network or weights, they cannot be downloaded or do not fit, or
            they are not those of a classifier of a thousand classes.
    """
    try:
        classifier = timm_classifier(
            len(WNIDS), name=name, pretrained=weights is None, weights=weights
        )
    except InputError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        raise InputError(
            f"the weights of {name!r} could not be downloaded ({type(error.__cause__).__name__}): "
            "give weights=FILE, a local state dict with timm's keys"
        ) from error
    _check_head(classifier, name, weights)
    groups = Groups(WNIDS, ("unknown",))
    return PictureModel(classifier, timm_geometry(classifier), groups).eval()


def timm_geometry(classifier: Classifier) -> Geometry:
    """The geometry that timm states for the weights of a network."""
    config = resolve_model_data_config(classifier.backbone)
    _, height, width = config["input_size"]
    steps = TimmSteps(
        height,
        width,
        config["interpolation"],
        config["crop_pct"],
        config["crop_mode"],
        tuple(config["mean"]),
    )
    return Geometry((steps,), height, width)


def _check_head(classifier: Classifier, name: str, weights: str | None) -> None:
    """Refuse weights without a head of a thousand classes: the head would be untrained."""
    if weights is None:
        stated: Any = classifier.backbone.pretrained_cfg
        classes = stated["num_classes"]
    else:
        head = read_state_dict(Path(weights)).get(f"{classifier.head_path}.weight")
        classes = 0 if head is None else len(head)
    if classes != len(WNIDS):
        raise InputError(
            f"{weights or name} has a head of {classes} classes, not the {len(WNIDS)} of ImageNet: "
            "give weights of an ImageNet classifier, or evaluate a run"
        )
