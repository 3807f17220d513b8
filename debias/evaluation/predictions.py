"""From weights to predictions to metrics; the test split is read here and selects nothing."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from debias.data.examples import SPLITS, Examples
from debias.data.pictures.images import read_image, read_mask
from debias.errors import InputError, shortened
from debias.merging import Settings
from debias.metrics.accuracy.counts import margin_counts
from debias.metrics.accuracy.scalars import group_report
from debias.parts import Parts
from debias.reports.predictions import Predictions, write
from debias.training.pictures import prepared_pictures
from debias.training.prediction import Predicted, extract, predict
from debias.types import Batch


def load_weights(module: nn.Module, path: Path, *, only: str = "") -> Settings:
    """Load a whole checkpoint into a module, with no fall-back, and return its metadata.

    Args:
        module: that receives them.
        path: of the checkpoint.
        only: prefix of the part that is loaded, such as "model."; the rest of the module stays as
            it is.

    Raises:
        ValueError: no such file, not a checkpoint, or one of another model or strategy.
    """
    try:
        checkpoint = dict(torch.load(path, map_location="cpu", weights_only=True))
        state = dict(checkpoint.pop("state_dict"))
    except FileNotFoundError:
        raise InputError(f"no checkpoint {path}: give a finished run, or train it first") from None
    except Exception as error:
        raise InputError(
            f"{path} is damaged, or not a checkpoint of debias ({type(error).__name__})"
        ) from error
    try:
        own = module.state_dict() if only else {}
        kept = {key: value for key, value in own.items() if not key.startswith(only)}
        loaded = {key: value for key, value in state.items() if key.startswith(only)}
        module.load_state_dict(kept | loaded)
    except RuntimeError as error:
        raise InputError(
            f"{path} holds the weights of another model or strategy: {_first(error)}"
        ) from error
    return dict(checkpoint)


def _first(error: RuntimeError) -> str:
    """The first of the layers that do not fit, of which torch names every one."""
    return shortened(" ".join(str(error).partition("\n")[2].split()))


def predict_splits(parts: Parts, *, progress: bool = True) -> dict[str, Predictions]:
    """Predictions of every split with the weights that the module holds."""
    return {split: predict_split(parts, split, progress=progress) for split in SPLITS}


def predict_split(
    parts: Parts, split: str, *, model: nn.Module | None = None, progress: bool = True
) -> Predictions:
    """Predictions of one split with the weights of the module, or of a network inside it."""
    network = model or parts.module.to(parts.device)
    batches = _batches(parts, split, progress)
    return with_labels(parts.examples, predict(network, batches, precision=parts.precision))


def features_of(parts: Parts, split: str, *, progress: bool = True) -> Tensor:
    """``(N, D)`` features of a split with the module's weights, in the predictions' order."""
    batches = _batches(parts, split, progress)
    return extract(parts.module.to(parts.device), batches, precision=parts.precision)


def with_labels(examples: Examples, predicted: Predicted) -> Predictions:
    """Predicted rows with the paths and labels of the data set."""
    rows = predicted.index
    paths = tuple(examples.images[row] for row in rows.tolist())
    return Predictions(rows, paths, examples.target[rows], examples.bias[rows], predicted.logits)


def write_predictions(path: Path, examples: Examples, predicted: Predicted) -> None:
    """Write predicted rows with their paths and labels."""
    write(path, with_labels(examples, predicted), examples.groups)


def measure(predictions: Predictions, examples: Examples) -> Settings:
    """Every metric of one split, and how many of its images have no group, for the report."""
    groups = examples.groups
    counts = margin_counts(
        predictions.prediction(groups), predictions.target, predictions.bias, groups
    )
    frequencies = examples.frequencies("train")
    report = group_report(counts, groups, frequencies if bool(frequencies.any()) else None)
    return report | {"unknown": int((predictions.bias < 0).sum())}


def picture(examples: Examples, row: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """The ``(H, W, 3)`` image of one row and its ``(H, W)`` mask, if any, as on disk."""
    most = examples.max_pixels
    image = read_image(examples.root / examples.images[row], max_pixels=most)
    if examples.mask_root is None or not examples.masks[row]:
        return image, None
    mask = examples.mask_root / examples.masks[row]
    return image, read_mask(mask, image.shape[:2], max_pixels=most)


def prepared_picture(parts: Parts, row: int) -> NDArray[np.uint8] | None:
    """One test image as the network reads it, what is left of each pixel, and what the model is
    given, side by side.

    ``(H, W, 3)``; ``None`` where the strategy leaves images as they are.
    """
    strategy = parts.ready().strategy
    pictures = prepared_pictures(strategy, parts.one(row).image, parts.data.mean, parts.data.std)
    return None if pictures is None else (pictures * 255).round().byte().permute(1, 2, 0).numpy()


def _batches(parts: Parts, split: str, progress: bool) -> Iterator[Batch]:
    return parts.batches(parts.data.loader(split), f"predicting {split}", progress=progress)
