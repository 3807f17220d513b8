"""The trained model under audit: probabilities and features of pictures, and saved predictions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from debias.data.examples import Examples
from debias.data.pictures.image_files import ImageFiles
from debias.errors import InputError
from debias.models.layers import evaluating
from debias.reports.predictions import Predictions, read
from debias.trained.model import load
from debias.trained.picture_model import PictureModel
from debias.types import Outputs

#: Pictures that a model gets at a time.
BATCH = 64


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
        """``(N, D)`` float32 inputs of the last layer."""

        def of(image: Tensor) -> Tensor:
            """Features of one batch of normalised pictures."""
            outputs: Outputs = self.network.model(image)
            return outputs.features

        return self._batched(pictures, of).numpy()

    def saved_predictions(self, name: str) -> Predictions:
        """Predictions that the run saved.

        Args:
            name: a split, for those of the selected weights; or ``val-epoch=000`` and the like, for
                those of validation after an epoch.

        Raises:
            ValueError: there is no run, or it has no such file.
        """
        if self.run is None:
            raise InputError("a model without a run has no saved predictions: give a run")
        return read(self.run / "predictions" / f"{name}.csv")

    def _batched(self, pictures: NDArray[np.uint8], give: Callable[[Tensor], Tensor]) -> Tensor:
        with evaluating(self.network), torch.no_grad():
            return torch.cat([give(image).float().cpu() for image in self._inputs(pictures)])

    def _inputs(self, pictures: NDArray[np.uint8]) -> Iterator[Tensor]:
        for start in range(0, len(pictures), BATCH):
            yield self.normalised(pictures[start : start + BATCH])


def audited_model(run: Path) -> AuditedModel:
    """The model of a finished run, with the weights of its selected epoch.

    Raises:
        ValueError: the folder has no finished run, its weights do not fit, or its images have
            several labels.
    """
    network = load(run)
    if network.groups.multi_label:
        raise InputError(
            f"{run} predicts several labels per image, and an audit of a model explains one class: "
            "audit its data alone, with its config.yaml"
        )
    checkpoint = run / "checkpoints" / f"epoch={network.report.selection.epoch:03d}.ckpt"
    return AuditedModel(network, run, hashlib.sha256(checkpoint.read_bytes()).hexdigest())
