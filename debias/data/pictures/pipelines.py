"""Preprocessing by albumentations: from pipelines in Python, or from lists of transforms."""

from __future__ import annotations

import inspect
import json
import random
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from debias.data.pictures.geometry import Geometry, Pixels, Resize
from debias.data.pictures.preprocessing import LARGEST, Preprocessing
from debias.errors import InputError, near

if TYPE_CHECKING:
    import albumentations

#: Height and width of the pictures that a pipeline is tried on.
TRIED = ((480, 640), (700, 500))
#: Seeds that a pipeline is tried with. A random one shows itself in them.
SEEDS = range(8)


@dataclass(frozen=True)
class Pipeline:
    """An albumentations pipeline without randomness, as a step of a :class:`Geometry`.

    Args:
        text: ``albumentations.to_dict`` of the pipeline, as JSON. The key of a picture cache
            contains it.
    """

    text: str

    def __call__(self, pixels: Pixels) -> Pixels:
        """Change ``(H, W, 3)`` uint8 images and ``(H, W)`` uint8 masks.

        Raises:
            ValueError: the pipeline cannot change a picture of this size.
        """
        pipeline = _built(self.text, threading.get_ident())
        if pixels.ndim == 3:
            return _applied("evaluation", pipeline, 0, {"image": pixels})["image"]
        blank = np.zeros((*pixels.shape, 3), np.uint8)
        return _applied("evaluation", pipeline, 0, {"image": blank, "mask": pixels})["mask"]


def configured(*, evaluation: list[Any], train: list[Any] | None = None) -> Preprocessing:
    """Any picture: lists of albumentations transforms, with their options.

    A transform is a name, or a name and its options, as in ``{CenterCrop: {height: 224, width:
    224}}``. Compositions such as ``OneOf`` have ``transforms`` among their options. Only classes of
    albumentations are named, so a config runs no other code. The rest is as in
    :func:`pipelines`.

    Args:
        evaluation: transforms without randomness that bring every picture to one size.
        train: random transforms in training, or ``None`` to train on the pictures of evaluation.

    Raises:
        ValueError: an unknown transform or option, or a mistake that :func:`pipelines` finds.
    """
    import albumentations  # takes two seconds, only needed here

    composed = albumentations.Compose(_transforms("evaluation", evaluation))
    if train is None:
        return pipelines(evaluation=composed)
    augmentation = albumentations.Compose(_transforms("train", train))
    return pipelines(evaluation=composed, train=augmentation)


def pipelines(
    *, evaluation: albumentations.Compose, train: albumentations.Compose | None = None
) -> Preprocessing:
    """A preprocessing recipe from albumentations pipelines.

    Training pictures are kept in the cache as 256/224 of the height and width of evaluation. They
    are squeezed to this size. ``train`` begins with these, and must give the size of evaluation.
    Both pipelines give uint8 pictures, because debias normalises.

    Args:
        evaluation: a pipeline without randomness that brings every picture to one size.
        train: a random pipeline, or ``None`` to train on the pictures of evaluation.

    Raises:
        ValueError: a pipeline gives other sizes or no uint8 pictures, fails, or has transforms
            that albumentations cannot write; or ``evaluation`` is random.
    """
    step = Pipeline(_text(evaluation))
    shape = _evaluated_shape(evaluation)
    geometry = Geometry((step,), *shape)
    if train is None:
        return Preprocessing(geometry, geometry)
    larger = [int(side * 256 / 224) for side in shape]
    for seed in SEEDS:
        result = _tried("train", train, larger, seed)
        if result.shape[:2] != shape:
            raise InputError(
                f"preprocessing.train gives pictures of {_size(result.shape)}, and evaluation of "
                f"{_size(shape)}: end both with the same size"
            )
    return Preprocessing(Geometry((Resize(*larger),), *larger), geometry, train)


@lru_cache(maxsize=64)
def _built(text: str, thread: int) -> Any:
    # one per thread: a pipeline keeps state while it runs, and the cache is built in threads
    import albumentations

    return albumentations.from_dict(json.loads(text))


def _text(pipeline: Any) -> str:
    import albumentations

    try:
        return json.dumps(albumentations.to_dict(pipeline), sort_keys=True)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise InputError(
            f"preprocessing.evaluation cannot be written down ({error}): use transforms of "
            "albumentations with plain options, because the cache is identified by them"
        ) from error


def _evaluated_shape(pipeline: Any) -> tuple[int, int]:
    """The height and width that a pipeline without randomness gives every picture."""
    shapes = []
    for size in TRIED:
        first, *others = [_tried("evaluation", pipeline, size, seed) for seed in SEEDS]
        if not all(np.array_equal(first, other) for other in others):
            raise InputError(
                "preprocessing.evaluation must not be random: give every transform p=1, and leave "
                "out those that draw at random"
            )
        shapes.append(first.shape)
    if shapes[0] != shapes[1]:
        raise InputError(
            "preprocessing.evaluation must bring every picture to one size; it gives "
            f"{' and '.join(map(_size, shapes))}: end it with Resize or CenterCrop"
        )
    if max(shapes[0]) > LARGEST:
        raise InputError(
            f"preprocessing.evaluation must give at most {LARGEST} pixels per side; it gives "
            f"{_size(shapes[0])}"
        )
    return shapes[0][:2]


def _tried(kind: str, pipeline: Any, size: Sequence[int], seed: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    image: Any = _applied(kind, pipeline, seed, {"image": noise})["image"]
    shape, dtype = getattr(image, "shape", ()), getattr(image, "dtype", type(image).__name__)
    if not isinstance(image, np.ndarray) or dtype != np.uint8 or shape[2:] != (3,):
        raise InputError(
            f"preprocessing.{kind} must give uint8 pictures of 3 channels; it gives {dtype} of "
            f"shape {tuple(shape)}: leave out Normalize, ToFloat and ToTensorV2, because debias "
            "normalises"
        )
    return image


def _applied(kind: str, pipeline: Any, seed: int, sample: dict[str, Pixels]) -> dict[str, Pixels]:
    pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))
    try:
        changed: dict[str, Pixels] = pipeline(**sample)
    except Exception as error:  # each transform has errors of its own
        raise InputError(
            f"preprocessing.{kind} cannot change a picture of {_size(sample['image'].shape)} "
            f"({_one_line(error)}): correct its transforms"
        ) from error
    return changed


def _transforms(kind: str, items: Sequence[Any]) -> list[Any]:
    return [_transform(kind, item) for item in items]


def _transform(kind: str, item: Any) -> Any:
    """Build one transform from its name, or from its name and options."""
    import albumentations as package

    name, options = (item, {}) if isinstance(item, str) else _pair(kind, item)
    bases = package.BasicTransform, package.BaseCompose
    found = getattr(package, str(name), None)
    if not (inspect.isclass(found) and issubclass(found, bases)):
        known = [key for key, part in vars(package).items() if inspect.isclass(part)]
        valid = [key for key in known if issubclass(getattr(package, key), bases)]
        raise InputError(f"preprocessing.{kind}: no transform {name!r}; {near(str(name), valid)}")
    if issubclass(found, package.BaseCompose):
        options = options | {"transforms": _transforms(kind, options.get("transforms", []))}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # albumentations only warns of an unknown option
            return found(**options)
    except (TypeError, ValueError, Warning) as error:
        raise InputError(f"preprocessing.{kind}: {name}: {_one_line(error)}; correct it") from error


def _pair(kind: str, item: Any) -> tuple[Any, dict[str, Any]]:
    if isinstance(item, dict) and len(item) == 1:
        ((name, options),) = item.items()
        if options is None or isinstance(options, dict):
            return name, dict(options or {})
    raise InputError(
        f"preprocessing.{kind}: a transform is a name, or a name and its options as in "
        f"{{HorizontalFlip: {{p: 0.5}}}}; got {item}"
    )


def _one_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(line for line in lines if line and "further information" not in line)


def _size(shape: Sequence[int]) -> str:
    return f"{shape[0]} x {shape[1]}"
