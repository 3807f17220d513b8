"""The objects of one run, and the batches and predictions of its trained model."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from debias.data.datamodule import ImageData
from debias.data.dataset import ImageDataset, keep
from debias.data.examples import SPLITS, Examples
from debias.data.orders import Visits
from debias.data.partition import Partition, seen_by_run
from debias.data.pictures.geometry import Geometry, Resize
from debias.data.pictures.image_files import ImageFiles
from debias.pixels import PixelSpace
from debias.progress import each
from debias.training.module import DebiasModule
from debias.training.prediction import autocast
from debias.types import Batch, Groups


class Parts(NamedTuple):
    """The objects of one run: its rows, loaders, model and strategy, device and precision.

    ``partition`` holds inferred values, if they replace the bias labels.
    """

    examples: Examples
    data: ImageData
    module: DebiasModule
    accelerator: str
    precision: str
    partition: Partition | None = None

    @property
    def device(self) -> torch.device:
        """The device on which the model computes."""
        return torch.device(self.accelerator)

    def seen(self, split: str) -> Examples:
        """The data set with the labels that the run reads in a split; the true ones in "test"."""
        seen = seen_by_run(self.examples, self.partition)
        return {"train": seen.train, "val": seen.val}.get(split, self.examples)

    @property
    def groups(self) -> Groups:
        """The groups of the data set."""
        return self.examples.groups

    @property
    def space(self) -> PixelSpace:
        """Converts the run's normalised images to pixels in [0, 1], and back, on its device."""
        return PixelSpace(self.data.mean.tolist(), self.data.std.tolist()).to(self.device)

    def ready(self) -> DebiasModule:
        """Move the module to its device and switch it to evaluation mode; only after training."""
        return self.module.to(self.device).eval()

    def loader(self, rows: Tensor, *, whole: bool = False) -> DataLoader[Batch]:
        """A loader of uint8 batches of the given rows, the same in every process.

        The batch size is that of training, since Grad-CAM keeps activations for a backward pass.

        Args:
            rows: ``(M,)`` int64 rows of the data set, at least one; all of one split, unless
                ``whole``.
            whole: resize the whole image to the size of evaluation, without cropping. Whole images
                are read from their files; others come from the cache, if the run has one.
        """
        if whole:
            shape = self.data.preprocessing.evaluation
            resize = Resize(shape.height, shape.width)
            geometry = Geometry((resize,), shape.height, shape.width)
            source = ImageFiles.of(self.examples, rows, geometry)
            pictures, places = ImageDataset(self.examples, rows, source), torch.arange(len(rows))
        else:
            split = SPLITS[int(self.examples.split[rows[0]])]
            places = torch.searchsorted(self.examples.rows(split), rows)
            pictures = self.data.dataset(split)
        return DataLoader(
            pictures,
            batch_size=None,
            sampler=[*Visits.of(places.tolist()).batches(self.data.batch_size)],
            num_workers=self.data.workers,
            collate_fn=keep,  # type: ignore[arg-type]  # torch's stubs expect lists of samples
        )

    def batches(
        self, loader: Iterable[Batch], title: str, *, progress: bool = True
    ) -> Iterator[Batch]:
        """Move batches to the model's device, and normalise them.

        Args:
            loader: loader of uint8 batches.
            title: title of the progress bar.
            progress: show a progress bar.
        """
        for batch in each(loader, title, "batch", bar=progress):
            moved = self.data.transfer_batch_to_device(batch, self.device, 0)
            yield self.data.on_after_batch_transfer(moved, 0)

    def one(self, row: int) -> Batch:
        """A batch with one row, prepared as for evaluation, on the model's device."""
        return next(self.batches(self.loader(torch.tensor([row])), "", progress=False))

    @torch.no_grad()
    def decisions(self, batch: Batch) -> Tensor:
        """Predicted classes or labels of a batch, in evaluation mode (see :meth:`ready`).

        Args:
            batch: a normalised batch. The model gets at most ``eval_batch_size`` images at a time.

        Returns:
            ``(N,)`` int64, or ``(N, L)`` with several labels.
        """
        with autocast(self.precision, batch.image.device):
            parts = torch.split(batch.image, self.data.eval_batch_size)
            logits = torch.cat([self.module(part).logits for part in parts])
        return self.groups.predict(logits.float())
