"""The Lightning DataModule of images, which divides every split between the processes itself."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from debias import processes
from debias.data.dataset import ImageDataset, keep, normalise
from debias.data.examples import SPLITS, Examples
from debias.data.orders import Draw, EpochSampler, Order, seeded_generator
from debias.data.pictures.cache import decode_all, open_cache
from debias.data.pictures.image_files import ImageFiles, PictureSource
from debias.data.pictures.preprocessing import Preprocessing
from debias.types import Batch

#: Batch size of :meth:`ImageData.loader` with backgrounds. Another number changes which backgrounds
#: are exchanged, and so the measured values.
EXCHANGED = 256


class ImageData(pl.LightningDataModule):
    """Images of a data set as normalised batches.

    In training, ``order`` draws the rows that an epoch visits. :class:`EpochSampler` selects the
    rows of this process and gives each a key. :class:`ImageDataset` reads their pictures as uint8,
    from the cache or from files, and augments each from its key. The batch moves to the device,
    and ``on_after_batch_transfer`` normalises it to float there. Evaluation visits each row once,
    in file order and without augmentation. Each process reads other rows, so you may sum counts
    over the processes.

    Pass ``use_distributed_sampler=False`` to the Trainer, because these samplers already divide the
    rows between the processes.

    Args:
        examples: the rows and their labels.
        preprocessing: geometry and augmentation of the pictures.
        order: draws the training rows that an epoch visits.
        mean: mean of each channel, in [0, 1], that the model's weights expect.
        std: standard deviation of each channel that the model's weights expect.
        batch_size: training samples per step in each process.
        eval_batch_size: samples per step in each process in evaluation. ``None`` means
            ``batch_size``.
        smallest_batch: least number of samples in a training batch.
        seed: seed of order and augmentation, at least 0.
        workers: number of loader processes. ``None`` means none without a GPU, and with a GPU one
            per core, at most 8.
        cache_dir: folder of the picture caches. ``None`` decodes every picture at every visit.
        channels_last: whether the memory of the images is channels last.
        backgrounds: whether training batches contain each picture's background, which is the
            picture with its foreground filled in.

    Raises:
        ValueError: ``backgrounds`` is true and a training picture has no mask.
    """

    def __init__(
        self,
        examples: Examples,
        preprocessing: Preprocessing,
        order: Order,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        batch_size: int = 128,
        eval_batch_size: int | None = None,
        smallest_batch: int = 1,
        seed: int = 0,
        workers: int | None = None,
        cache_dir: Path | None = None,
        channels_last: bool = False,
        backgrounds: bool = False,
    ) -> None:
        super().__init__()
        self.examples, self.preprocessing, self.order = examples, preprocessing, order
        self.mean, self.std = torch.tensor(mean), torch.tensor(std)
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size or batch_size
        self.smallest_batch, self.seed = smallest_batch, seed
        self.workers = _automatic_workers() if workers is None else workers
        self.cache_dir, self.channels_last = cache_dir, channels_last
        self.backgrounds = backgrounds
        self._sources: dict[tuple[str, str, bool], PictureSource] = {}
        if backgrounds:
            ImageFiles.of(examples, examples.rows("train"), preprocessing.train, backgrounds=True)

    def decode(self) -> None:
        """Decode every picture of all splits once before training. Fill the cache if there is one.

        Raises:
            ValueError: a picture or mask is damaged.
        """
        for split in SPLITS:
            for training in {False, split == "train"}:
                source = self.dataset(
                    split, training=training, backgrounds=training and self.backgrounds
                ).source
                if isinstance(source, ImageFiles) and (source.fills or not training):
                    decode_all(source, lambda position, picture: None)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Augmented batches of the training rows that ``order`` draws.

        The last of several batches is left out in all processes if it has fewer than
        ``smallest_batch`` samples in one of them. It is also left out if it has only one sample
        there, because batch normalisation cannot train on one sample.

        Raises:
            ValueError: an epoch visits fewer images than there are processes.
        """
        rank, world = processes.rank(), processes.world()
        sampler = EpochSampler(
            self.order, seed=self.seed, rank=rank, world=world, visits=self._visits(world)
        )
        if self.trainer is not None:
            # loader processes fetch ahead, and Lightning starts them before it sets the epoch of a
            # resumed run
            progress: Any = self.trainer.fit_loop.epoch_progress.current
            sampler.set_epoch(progress.processed)
        dataset = self.dataset("train", training=True, backgrounds=self.backgrounds)
        return self._loader(dataset, sampler, self.batch_size)

    def _visits(self, world: int) -> int:
        """Training visits of all processes per epoch, so that all have equally many batches."""
        visits, joined = len(self.order), self.batch_size * world
        last = visits % joined
        # one process may have a full last batch while another has a short one: both are left out
        short = visits > joined and last > 0 and last // world < max(2, self.smallest_batch)
        return visits - last if short else visits

    def val_dataloader(self) -> DataLoader[Batch]:
        """Batches of the validation split for evaluation: ``loader("val")``."""
        return self.loader("val")

    def loader(self, split: str, *, backgrounds: bool = False) -> DataLoader[Batch]:
        """Batches of one split for evaluation: each row once, in file order.

        Args:
            split: "train", "val" or "test".
            backgrounds: whether batches contain backgrounds, for measures that exchange them. The
                order is then random but fixed, because files are often sorted by class and each
                batch needs samples of every class. Batches then have ``EXCHANGED`` samples instead
                of ``eval_batch_size``.

        Raises:
            ValueError: ``backgrounds`` is true and a picture of the split has no mask.
        """
        rank, world = processes.rank(), processes.world()
        dataset = self.dataset(split, backgrounds=backgrounds)
        sampler: Iterable[int] = range(rank, len(dataset), world)
        if backgrounds:
            order = torch.randperm(len(dataset), generator=seeded_generator(self.seed, 0)).tolist()
            sampler = [order[place] for place in sampler]
        return self._loader(dataset, sampler, EXCHANGED if backgrounds else self.eval_batch_size)

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Move all fields of a batch to the device, without waiting for the copies."""
        # Lightning's own version walks through nested containers, which slows down small models
        fields = (None if field is None else field.to(device, non_blocking=True) for field in batch)
        return Batch(*fields)  # type: ignore[arg-type]  # a field that is not optional is never None

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Normalise the pixels of a batch on its device, after the transfer of uint8 images."""
        device = batch.image.device
        self.mean, self.std = self.mean.to(device), self.std.to(device)
        return normalise(batch, self.mean, self.std, channels_last=self.channels_last)

    def dataset(
        self, split: str, *, training: bool = False, backgrounds: bool = False
    ) -> ImageDataset:
        """The samples of a split, read from the cache if there is one.

        Args:
            split: "train", "val" or "test".
            training: whether to use the geometry and the augmentation of training.
            backgrounds: whether samples contain their background.
        """
        geometry = self.preprocessing.train if training else self.preprocessing.evaluation
        rows = self.examples.rows(split)
        key = split, repr(geometry), backgrounds
        if key not in self._sources:
            files = ImageFiles.of(self.examples, rows, geometry, backgrounds=backgrounds)
            folder = self.cache_dir
            self._sources[key] = files if folder is None else open_cache(files, folder)
        augmentation = self.preprocessing.augmentation if training else None
        return ImageDataset(self.examples, rows, self._sources[key], augmentation=augmentation)

    def _loader(
        self, dataset: ImageDataset, sampler: Iterable[Draw] | Iterable[int], batch_size: int
    ) -> DataLoader[Batch]:
        return DataLoader(
            dataset,
            batch_size=batch_size,
            sampler=sampler,
            collate_fn=keep,  # type: ignore[arg-type]  # torch's stubs know no __getitems__
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            worker_init_fn=_one_thread,
            pin_memory=torch.cuda.is_available(),
            # otherwise each iteration draws from the global generator, which differs after a resume
            generator=torch.Generator(),
        )


def _automatic_workers() -> int:
    return min(8, os.cpu_count() or 1) if torch.cuda.is_available() else 0


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
