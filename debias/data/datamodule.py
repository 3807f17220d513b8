"""The Lightning DataModule of images, which divides every split between the processes itself."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from debias import processes
from debias.data.dataset import ImageDataset, keep, normalise
from debias.data.examples import SPLITS, Examples
from debias.data.orders import EpochSampler, Order, Stateful, Visits, seeded_generator
from debias.data.pictures.cache import (
    cache_bytes,
    cache_room,
    decode_all,
    missing_bytes,
    open_cache,
)
from debias.data.pictures.image_files import ImageFiles, PictureSource
from debias.data.pictures.preprocessing import Preprocessing
from debias.devices import usable_cores
from debias.progress import say
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
        workers: number of loader processes. ``None`` means one per core, at most 8, if there is a
            GPU or if the pictures are too large for a cache; otherwise none.
        cache_dir: folder of the picture caches. ``None`` decodes every picture at every visit.
        cache_gb: most GB that may be added to the caches. ``None`` means half of the free space of
            the disk. If the pictures need more, they are decoded at every visit instead, and a line
            says so.
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
        cache_gb: float | None = None,
        channels_last: bool = False,
        backgrounds: bool = False,
    ) -> None:
        super().__init__()
        self.examples, self.preprocessing, self.order = examples, preprocessing, order
        self.mean, self.std = torch.tensor(mean), torch.tensor(std)
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size or batch_size
        self.smallest_batch, self.seed = smallest_batch, seed
        self.given_workers, self.cache_gb = workers, cache_gb
        self.cache_dir, self.channels_last = cache_dir, channels_last
        self.backgrounds = backgrounds
        self._sources: dict[tuple[str, str, bool], PictureSource] = {}
        if backgrounds:
            ImageFiles.of(examples, examples.rows("train"), preprocessing.train, backgrounds=True)

    @property
    def workers(self) -> int:
        """Number of loader processes."""
        if self.given_workers is not None:
            return self.given_workers
        return _most_workers() if self.too_large or torch.cuda.is_available() else 0

    @cached_property
    def too_large(self) -> bool:
        """Whether the pictures are too large for the cache. The first call says so in a line."""
        if self.cache_dir is None:
            return False
        needed = [self._files(split, training=training) for split, training in self._forms]
        room = cache_room(self.cache_dir) if self.cache_gb is None else self.cache_gb * 1e9
        if sum(sum(cache_bytes(files)) for files in needed) <= room:
            return False  # without reading the state of every file
        missing = sum(missing_bytes(files, self.cache_dir) for files in needed)
        if missing > room:
            given = self.given_workers
            say(
                f"the picture cache in {self.cache_dir} would need {missing / 1e9:.3g} GB more, "
                f"and may have {room / 1e9:.3g} (cache_gb): pictures are decoded at every visit, "
                f"by {_most_workers() if given is None else given} loader processes (workers)"
            )
        return missing > room

    @property
    def caches(self) -> bool:
        """Whether pictures are read from a cache."""
        return self.cache_dir is not None and not self.too_large

    @property
    def _forms(self) -> list[tuple[str, bool]]:
        """The splits, each with whether it has the form of training; "train" may have two forms."""
        train, evaluation = self.preprocessing.train, self.preprocessing.evaluation
        one = repr(train) == repr(evaluation) and not self.backgrounds
        return [("train", True), *((split, False) for split in (SPLITS[1:] if one else SPLITS))]

    def pictures_key(self) -> str:
        """Hash of what pictures are read: each file's path, size and time of change, and its form.

        Raises:
            ValueError: a picture is missing.
        """
        files = (self._files(split, training=training) for split, training in self._forms)
        return hashlib.sha256("".join(each.content_key() for each in files).encode()).hexdigest()

    def decode(self, *, once: bool = False) -> None:
        """Decode the pictures of all splits before training. Fill the cache if there is one.

        Args:
            once: decode every picture once, which finds the damaged ones; the cache of the training
                pictures in the form of evaluation is then filled later. Otherwise fill all caches;
                pictures that are too large for a cache are then not decoded here.

        Raises:
            ValueError: a picture or mask is damaged.
        """
        for split, training in self._forms:
            second_form = split == "train" and not training
            if (once and second_form) or (self.too_large and not once):
                continue
            source = self._source(split, training=training)
            if isinstance(source, ImageFiles) and not second_form:
                # nothing is kept, so backgrounds are read, but not filled in
                decode_all(replace(source, backgrounds=bool(source.fills)))

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
            self.order,
            batch_size=self.batch_size,
            seed=self.seed,
            rank=rank,
            world=world,
            visits=self._visits(world),
        )
        if self.trainer is not None:
            # loader processes fetch ahead, and Lightning starts them before it sets the epoch of a
            # resumed run
            progress: Any = self.trainer.fit_loop.epoch_progress.current
            sampler.set_epoch(progress.processed)
        dataset = self.dataset("train", training=True, backgrounds=self.backgrounds)
        return self._loader(dataset, sampler)

    def steps(self, world: int) -> int:
        """Steps per epoch of training with this number of processes."""
        return -(-self._visits(world) // (self.batch_size * world))

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
        positions: Sequence[int] = range(rank, len(dataset), world)
        if backgrounds:
            order = torch.randperm(len(dataset), generator=seeded_generator(self.seed, 0)).tolist()
            positions = order[rank::world]
        size = EXCHANGED if backgrounds else self.eval_batch_size
        return self._loader(dataset, [*Visits.of(positions).batches(size)])

    def state_dict(self) -> dict[str, Any]:
        """The state of the order for the checkpoint; empty if it has none."""
        return {"order": self.order.state} if isinstance(self.order, Stateful) else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of the order in a resumed run."""
        if isinstance(self.order, Stateful):
            self.order.state.copy_(state_dict["order"])

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
        rows = self.examples.rows(split)
        source = self._source(split, training=training, backgrounds=backgrounds)
        augmentation = self.preprocessing.augmentation if training else None
        return ImageDataset(self.examples, rows, source, augmentation=augmentation)

    def _files(self, split: str, *, training: bool, backgrounds: bool | None = None) -> ImageFiles:
        geometry = self.preprocessing.train if training else self.preprocessing.evaluation
        with_backgrounds = training and self.backgrounds if backgrounds is None else backgrounds
        rows = self.examples.rows(split)
        return ImageFiles.of(self.examples, rows, geometry, backgrounds=with_backgrounds)

    def _source(
        self, split: str, *, training: bool, backgrounds: bool | None = None
    ) -> PictureSource:
        files = self._files(split, training=training, backgrounds=backgrounds)
        key = split, repr(files.geometry), files.backgrounds
        if key not in self._sources:
            folder = self.cache_dir if self.caches else None
            self._sources[key] = files if folder is None else open_cache(files, folder)
        return self._sources[key]

    def _loader(self, dataset: ImageDataset, sampler: Iterable[Visits]) -> DataLoader[Batch]:
        return DataLoader(
            dataset,
            batch_size=None,  # the sampler gives whole batches
            sampler=sampler,
            collate_fn=keep,  # type: ignore[arg-type]  # torch's stubs expect lists of samples
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            worker_init_fn=_one_thread,
            pin_memory=torch.cuda.is_available(),
            # otherwise each iteration draws from the global generator, which differs after a resume
            generator=torch.Generator(),
        )


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def _most_workers() -> int:
    return min(8, usable_cores())
