"""The Lightning DataModule: its loaders give the same in any number of processes."""

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

#: Pictures among which backgrounds are exchanged when a model is judged: with another number the
#: draws are others.
EXCHANGED = 256


class ImageData(pl.LightningDataModule):
    """Images of a data set as normalised batches.

    A batch's journey: the order says which training rows an epoch visits; :class:`EpochSampler`
    gives this process its share, each with a key; :class:`ImageDataset` copies those pictures out
    of the cache (or decodes them) as uint8 and augments each from its key; the loader hands the
    batch to the device; ``on_after_batch_transfer`` normalises it there to float. Evaluation takes
    the same road in file order, without order and augmentation, and without a row twice: each
    process sees its own rows, so counts may be summed over processes.

    Pass ``use_distributed_sampler=False`` to the Trainer: the samplers here know their process
    already.

    Args:
        examples: the rows and their labels.
        preprocessing: the recipe.
        order: which training rows an epoch visits.
        mean: of each channel, in [0, 1]: what the model's weights were trained with.
        std: of each channel.
        batch_size: training samples a step in each process.
        eval_batch_size: samples a step in each process when evaluating; ``None`` is ``batch_size``.
        smallest_batch: samples that a training batch must have.
        seed: of order and augmentation, at least 0.
        workers: processes that load; ``None``: none without a GPU, else one a core, at most 8.
        cache_dir: folder of the picture caches; ``None`` decodes every picture every time.
        channels_last: whether images are laid out channels last.
        backgrounds: whether training batches carry each picture's background, its foreground filled
            in.

    Raises:
        ValueError: backgrounds are asked for, and a training picture has no mask.
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
        """Decode every picture of every split once, before training, into the cache if any.

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
        """Augmented batches of the training split, in the order's order.

        A last batch of fewer than ``smallest_batch`` samples in some process is left out in all of
        them, and one of a single sample, on which batch normalisation cannot train.

        Raises:
            ValueError: an epoch visits fewer images than there are processes.
        """
        rank, world = processes.rank(), processes.world()
        sampler = EpochSampler(
            self.order, seed=self.seed, rank=rank, world=world, visits=self._visits(world)
        )
        if self.trainer is not None:
            # where loader processes fetch ahead, Lightning starts them before it says which epoch
            # it resumes in
            progress: Any = self.trainer.fit_loop.epoch_progress.current
            sampler.set_epoch(progress.processed)
        dataset = self.dataset("train", training=True, backgrounds=self.backgrounds)
        return self._loader(dataset, sampler, self.batch_size)

    def _visits(self, world: int) -> int:
        """How many entries all processes visit, so that each has as many batches as the others."""
        visits, joined = len(self.order), self.batch_size * world
        last = visits % joined
        # a whole batch in one process may stand beside a short one in another, and both are left
        # out
        short = visits > joined and last > 0 and last // world < max(2, self.smallest_batch)
        return visits - last if short else visits

    def val_dataloader(self) -> DataLoader[Batch]:
        """The validation split, as :meth:`loader`."""
        return self.loader("val")

    def loader(self, split: str, *, backgrounds: bool = False) -> DataLoader[Batch]:
        """Batches of "train", "val" or "test" for evaluation: in file order, each row once.

        Args:
            split: which.
            backgrounds: whether they carry backgrounds, for measures of what a model makes of
                these. The order is then a random one, the same every time: files are often sorted
                by class, and a batch whose backgrounds are to be exchanged has to hold every class.
                Batches have ``EXCHANGED`` samples whatever ``eval_batch_size``.

        Raises:
            ValueError: backgrounds are asked for, and a picture has no mask.
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
        """Move a batch to the device."""
        # Lightning's own walks through any nesting; on a small model's step that is felt
        fields = (None if field is None else field.to(device, non_blocking=True) for field in batch)
        return Batch(*fields)  # type: ignore[arg-type]  # a field that is not optional is never None

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Normalise a batch on the device it has reached."""
        device = batch.image.device
        self.mean, self.std = self.mean.to(device), self.std.to(device)
        return normalise(batch, self.mean, self.std, channels_last=self.channels_last)

    def dataset(
        self, split: str, *, training: bool = False, backgrounds: bool = False
    ) -> ImageDataset:
        """The pictures of a split, from the cache if there is one."""
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
            # or each iteration takes a number from the global generator, at another time in a run
            # that is resumed
            generator=torch.Generator(),
        )


def _automatic_workers() -> int:
    return min(8, os.cpu_count() or 1) if torch.cuda.is_available() else 0


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
