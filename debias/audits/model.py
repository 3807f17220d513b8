"""The trained model under audit: probabilities and features of pictures, and saved predictions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from debias.data.examples import Examples
from debias.data.pictures.geometry import Geometry
from debias.data.pictures.image_files import ImageFiles
from debias.errors import InputError
from debias.models.layers import evaluating
from debias.reports.predictions import read
from debias.trained.model import load
from debias.trained.picture_model import PictureModel
from debias.types import Outputs

#: Pixels that a thread gets at a time: 8 pictures of 128 x 128. The maps of more pictures do not
#: fit into the caches of a core, and EfficientNet-Lite0 then needs up to twice the processor time.
PIXELS = 2**17


class ModelPictures(NamedTuple):
    """Pictures in the geometry of a model.

    Attributes:
        pictures: ``(M, H, W, 3)`` uint8.
        masks: ``(M, H, W)`` bool foregrounds, or ``None`` without masks.
    """

    pictures: NDArray[np.uint8]
    masks: NDArray[np.bool_] | None


@dataclass(frozen=True, eq=False)
class AuditedModel:
    """A trained classifier of one label per picture.

    Args:
        network: the classifier, with its preprocessing.
        run: folder of the run, in which it saved its predictions; ``None`` without a run.
        digest: text that changes with the weights.
    """

    network: PictureModel
    run: Path | None = None
    digest: str = ""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.network.classes

    def pictures(self, examples: Examples, rows: NDArray[np.int64]) -> ModelPictures:
        """Read some rows as the model receives them in evaluation, but not yet normalised.

        Args:
            examples: the data set.
            rows: ``(M,)`` int64 rows of it.

        Raises:
            ValueError: a picture cannot be read.
        """
        source = ImageFiles.of(examples, torch.from_numpy(rows), self.network.geometry)
        fetched = source.fetch(torch.arange(len(rows)))
        masks = None if fetched.masks is None else fetched.masks.numpy() > 127
        return ModelPictures(fetched.images.numpy(), masks)

    def normalised(self, pictures: NDArray[np.uint8]) -> Tensor:
        """``(N, 3, H, W)`` input of the network, from ``(N, H, W, 3)`` uint8 pictures."""
        planes = torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))
        return self.network.normalise(planes.to(self.network.mean.device))

    def logits(self, pictures: NDArray[np.uint8]) -> Tensor:
        """``(N, C)`` float32 logits of ``(N, H, W, 3)`` uint8 pictures of the model's size."""
        return self._batched(pictures, self.network)

    def probabilities(self, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        """``(N, C)`` float64 softmax of the logits."""
        shares: NDArray[np.float64] = self.logits(pictures).double().softmax(dim=1).numpy()
        return shares

    def decided(self, pictures: NDArray[np.uint8]) -> NDArray[np.int64]:
        """``(N,)`` int64 predicted classes."""
        return self.logits(pictures).argmax(dim=1).numpy()

    def features(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``(N, D)`` float32 inputs of the last layer.

        Args:
            pictures: ``(N, H, W, 3)`` uint8; those of another size than the model's are resized.
        """

        def of(image: Tensor) -> Tensor:
            """Features of one batch of normalised pictures."""
            outputs: Outputs = self.network.model(image)
            return outputs.features

        return self._batched(resized(pictures, self.network.geometry), of).numpy()

    def saved_decisions(self, name: str) -> dict[str, int]:
        """Class that the run decided for each image, by the path of the image.

        Paths are the key, because the rows of a table may have another order than in the run.

        Args:
            name: a split, for those of the selected weights; or ``val-epoch=000`` and the like, for
                those of validation after an epoch.

        Raises:
            ValueError: there is no run, or it has no such file.
        """
        if self.run is None:
            raise InputError("a model without a run has no saved predictions: give a run")
        saved = read(self.run / "predictions" / f"{name}.csv")
        return dict(zip(saved.paths, saved.logits.argmax(dim=1).tolist(), strict=True))

    def _batched(self, pictures: NDArray[np.uint8], give: Callable[[Tensor], Tensor]) -> Tensor:
        """Small batches, each of them on one thread: this is faster than many threads per batch."""
        size = max(1, PIXELS // (pictures.shape[1] * pictures.shape[2]))

        def _given(start: int) -> Tensor:
            with torch.no_grad():
                return give(self.normalised(pictures[start : start + size])).float().cpu()

        starts = range(0, len(pictures), size)
        with evaluating(self.network), _one_thread_per_batch() as pool:
            return torch.cat([*pool.map(_given, starts)])


@contextmanager
def _one_thread_per_batch() -> Iterator[ThreadPoolExecutor]:
    """As many threads as torch uses. Inside each of them, torch computes with one thread."""
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)


def resized(pictures: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.uint8]:
    """``(N, H, W, 3)`` pictures of the size of a geometry; the same array if they have it."""
    height, width = geometry.height, geometry.width
    if pictures.shape[1:3] == (height, width):
        return pictures
    smaller = height * width < pictures.shape[1] * pictures.shape[2]
    way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.stack([cv2.resize(one, (width, height), interpolation=way) for one in pictures])


def audited_model(run: Path) -> AuditedModel:
    """The model of a finished run, with the weights of its selected epoch.

    Raises:
        ValueError: the folder has no finished run, its weights do not fit, or its images have
            several labels.
    """
    model = model_of_run(run)
    if model.network.groups.multi_label:
        raise InputError(
            f"{run} predicts several labels per image, and an audit of a model explains one class: "
            "audit its data alone, with its config.yaml"
        )
    return model


def model_of_run(run: Path) -> AuditedModel:
    """The model of a finished run of any labels, with the weights of its selected epoch.

    Raises:
        ValueError: the folder has no finished run, or its weights do not fit.
    """
    network = load(run)
    checkpoint = run / "checkpoints" / f"epoch={network.report.selection.epoch:03d}.ckpt"
    return AuditedModel(network, run, hashlib.sha256(checkpoint.read_bytes()).hexdigest())
