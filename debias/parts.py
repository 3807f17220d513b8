"""The objects of one run, and the questions that a trained model is asked."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset
from tqdm import tqdm

from debias.data.datamodule import ImageData
from debias.data.dataset import ImageDataset, keep
from debias.data.examples import SPLITS, Examples
from debias.data.pictures.geometry import Geometry, Resize
from debias.data.pictures.image_files import ImageFiles
from debias.training.module import DebiasModule
from debias.training.prediction import autocast
from debias.types import Batch, Groups


class Parts(NamedTuple):
    """The objects of one run: its rows, loaders, model and strategy, device and precision."""

    examples: Examples
    data: ImageData
    module: DebiasModule
    accelerator: str
    precision: str

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return torch.device(self.accelerator)

    @property
    def groups(self) -> Groups:
        """The groups of the data set."""
        return self.examples.groups

    def ready(self) -> DebiasModule:
        """The module on its device, in evaluation mode, in which it stays: not before training."""
        return self.module.to(self.device).eval()

    def loader(self, rows: Tensor, *, whole: bool = False) -> DataLoader[Batch]:
        """Batches of some rows, the same in every process.

        Batches are as large as in training: Grad-CAM keeps activations for a backward pass.

        Args:
            rows: ``(M,)`` int64, at least one; of one split, unless the pictures are whole.
            whole: show whole pictures, squeezed to the evaluated size, so that nothing is cut off.
                They are read from their files, and others from the cache, if the run has one.
        """
        pictures: Dataset[Batch]
        if whole:
            shape = self.data.preprocessing.evaluation
            resize = Resize(shape.height, shape.width)
            geometry = Geometry((resize,), shape.height, shape.width)
            source = ImageFiles.of(self.examples, rows, geometry)
            pictures = ImageDataset(self.examples, rows, source)
        else:
            split = SPLITS[int(self.examples.split[rows[0]])]
            places = torch.searchsorted(self.examples.rows(split), rows)
            pictures = Subset(self.data.dataset(split), places.tolist())
        return DataLoader(
            pictures,
            batch_size=self.data.batch_size,
            num_workers=self.data.workers,
            collate_fn=keep,  # type: ignore[arg-type]  # torch's stubs know no __getitems__
        )

    def batches(
        self, loader: Iterable[Batch], title: str, *, progress: bool = True
    ) -> Iterator[Batch]:
        """Normalised batches on the model's device.

        Args:
            loader: of uint8 batches.
            title: of the progress bar.
            progress: show a progress bar.
        """
        bar = tqdm(loader, desc=title, unit="batch", disable=None if progress else True)
        for batch in bar:
            moved = self.data.transfer_batch_to_device(batch, self.device, 0)
            yield self.data.on_after_batch_transfer(moved, 0)

    def one(self, row: int) -> Batch:
        """The batch of one row as it is evaluated, normalised, on the model's device."""
        return next(self.batches(self.loader(torch.tensor([row])), "", progress=False))

    @torch.no_grad()
    def decisions(self, batch: Batch) -> Tensor:
        """Predicted classes or labels, as evaluation reads them from the ready model.

        Args:
            batch: normalised; at most ``eval_batch_size`` images at a time reach the model.

        Returns:
            ``(N,)`` int64, or ``(N, L)`` with several labels.
        """
        with autocast(self.precision, batch.image.device):
            shares = torch.split(batch.image, self.data.eval_batch_size)
            logits = torch.cat([self.module(share).logits for share in shares])
        return self.groups.predict(logits.float())
