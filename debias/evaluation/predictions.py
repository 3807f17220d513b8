"""From weights to predictions to metrics. The test split is never used for selection."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from debias.data.examples import SPLITS, Examples
from debias.data.pictures.images import read_mask
from debias.merging import Settings
from debias.metrics.accuracy.counts import margin_counts
from debias.metrics.accuracy.scalars import group_report
from debias.parts import Parts
from debias.reports.predictions import Predictions, write
from debias.training.pictures import prepared_pictures
from debias.training.prediction import Predicted, extract, predict
from debias.types import Batch


def predict_splits(parts: Parts, *, progress: bool = True) -> dict[str, Predictions]:
    """Predictions of every split with the module's current weights."""
    return {split: predict_split(parts, split, progress=progress) for split in SPLITS}


def predict_split(
    parts: Parts, split: str, *, model: nn.Module | None = None, progress: bool = True
) -> Predictions:
    """Predictions of one split by the run's module, or by ``model``, a network inside it."""
    module = parts.module.to(parts.device)  # with the network inside it
    batches = _batches(parts, split, progress)
    return with_labels(parts.examples, predict(model or module, batches, precision=parts.precision))


def features_of(parts: Parts, split: str, *, progress: bool = True) -> Tensor:
    """``(N, D)`` features of one split, in the order of the rows of the split."""
    batches = _batches(parts, split, progress)
    return extract(parts.module.to(parts.device), batches, precision=parts.precision)


def with_labels(examples: Examples, predicted: Predicted) -> Predictions:
    """Add the paths and labels of the data set to predicted rows."""
    rows = predicted.index
    paths = tuple(examples.images[row] for row in rows.tolist())
    return Predictions(rows, paths, examples.target[rows], examples.bias[rows], predicted.logits)


def write_predictions(path: Path, examples: Examples, predicted: Predicted) -> None:
    """Write predicted rows to a CSV file, with the paths and labels of the data set."""
    write(path, with_labels(examples, predicted), examples.groups)


def measure(predictions: Predictions, examples: Examples) -> Settings:
    """The accuracies of one split for the report.

    The entry ``unknown`` is the number of images in the split without a bias label.
    """
    groups, frequencies = examples.groups, examples.frequencies("train")
    decided = predictions.prediction(groups)
    report = group_report(
        margin_counts(decided, predictions.target, predictions.bias, groups),
        groups,
        frequencies if bool(frequencies.any()) else None,
    )
    return report | {"unknown": int((predictions.bias < 0).sum())}


def picture(examples: Examples, row: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Read the ``(H, W, 3)`` image of one row, and its ``(H, W)`` mask or ``None``."""
    image = examples.store.read(row)
    if examples.mask_root is None or not examples.masks[row]:
        return image, None
    mask = examples.mask_root / examples.masks[row]
    return image, read_mask(mask, image.shape[:2], max_pixels=examples.max_pixels)


def prepared_picture(parts: Parts, row: int) -> NDArray[np.uint8] | None:
    """Three pictures of one test image side by side, to show what a strategy hides.

    They are the image as loaded, the share of each pixel that the strategy keeps, and the prepared
    image that the model receives.

    Returns:
        ``(H, W, 3)``, or ``None`` if the strategy does not change images.
    """
    strategy = parts.ready().strategy
    pictures = prepared_pictures(strategy, parts.one(row).image, parts.data.mean, parts.data.std)
    return None if pictures is None else (pictures * 255).round().byte().permute(1, 2, 0).numpy()


def _batches(parts: Parts, split: str, progress: bool) -> Iterator[Batch]:
    return parts.batches(parts.data.loader(split), f"predicting {split}", progress=progress)
