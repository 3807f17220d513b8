"""Loaders give the same pixels whatever the workers, cache and number of processes."""

from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import distributed

from debias.data import datamodule
from debias.data.datamodule import ImageData
from debias.data.examples import Examples
from debias.data.orders import Order, shuffled
from debias.data.pictures import image_store
from debias.data.pictures.preprocessing import Preprocessing, resize, waterbirds_augmented
from debias.data.subsamples import group_subsample
from debias.types import Batch
from tests.data.small_pictures import GROUPS, noise, small_examples

HALF = (0.5, 0.5, 0.5)


def data_of(
    folder: Path,
    preprocessing: Preprocessing,
    *,
    train: int = 12,
    val: int = 7,
    batch_size: int = 5,
    smallest_batch: int = 1,
    workers: int | None = 0,
    cache: bool = True,
    cache_gb: float | None = None,
    order: Order | None = None,
    examples: Examples | None = None,
) -> ImageData:
    examples = examples or small_examples(folder, train=train, val=val)
    return ImageData(
        examples,
        preprocessing,
        order or shuffled(examples.target[examples.rows("train")]),
        mean=HALF,
        std=HALF,
        batch_size=batch_size,
        eval_batch_size=4,
        smallest_batch=smallest_batch,
        workers=workers,
        cache_dir=folder / "cache" if cache else None,
        cache_gb=cache_gb,
    )


def epoch_of(data: ImageData, epoch: int = 0) -> list[Batch]:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
    return [data.on_after_batch_transfer(batch, 0) for batch in loader]


def indices(batches: list[Batch]) -> list[int]:
    return [int(index) for batch in batches for index in batch.index]


def pretend(monkeypatch: pytest.MonkeyPatch, rank: int, world: int) -> None:
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_rank", lambda: rank)
    monkeypatch.setattr(distributed, "get_world_size", lambda: world)


def test_a_batch_is_normalised_pixels_of_its_rows(tmp_path: Path) -> None:
    """(x / 255 - 0.5) / 0.5 of the one pixel that the recipe leaves."""
    data = data_of(tmp_path, resize(size=1))
    batch = epoch_of(data)[0]
    row = int(batch.index[0])
    pixel = resize(size=1).train.image(noise(row))[0, 0].astype(float)
    torch.testing.assert_close(
        batch.image[0, :, 0, 0].double(),
        torch.from_numpy((pixel / 255 - 0.5) / 0.5),
        atol=1e-6,
        rtol=0,
    )
    assert [len(batch.index) for batch in epoch_of(data)] == [5, 5, 2]
    assert sorted(indices(epoch_of(data))) == list(range(12))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_workers_and_cache_do_not_change_a_pixel(tmp_path: Path) -> None:
    recipe = waterbirds_augmented(size=8)
    plain = epoch_of(data_of(tmp_path, recipe, cache=False))
    for other in (data_of(tmp_path, recipe), data_of(tmp_path, recipe, workers=2)):
        for ours, theirs in zip(plain, epoch_of(other), strict=True):
            assert torch.equal(ours.image, theirs.image)
            assert ours.mask is not None
            assert theirs.mask is not None
            assert torch.equal(ours.mask, theirs.mask)
            assert ours.index.tolist() == theirs.index.tolist()


def test_pictures_larger_than_the_cache_are_decoded_by_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """12 training, 7 validation and 3 test pictures of 8 x 8 (training: 9 x 9), with masks."""
    monkeypatch.setattr(datamodule, "usable_cores", lambda: 3)
    recipe = waterbirds_augmented(size=8)
    needed = (12 * 9 * 9 + (12 + 7 + 3) * 8 * 8) * 4
    small = data_of(tmp_path, recipe, workers=None, cache_gb=(needed - 1) / 1e9)
    assert (small.workers, small.caches) == (3, False)
    small.decode()
    assert not (tmp_path / "cache").exists()
    line = capsys.readouterr().err
    assert "cache_gb" in line
    assert "by 3 loader processes" in line
    same = small.examples
    large = data_of(tmp_path, recipe, workers=None, cache_gb=needed / 1e9, examples=same)
    assert (large.workers, large.caches) == (0, True)
    large.decode()
    # what is there needs no room
    assert data_of(tmp_path, recipe, workers=None, cache_gb=0.0, examples=same).caches


def test_a_check_decodes_every_picture_once_and_training_uses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training reads its 12 pictures in two forms; a check fills the cache of one."""
    read, decoded = image_store.read_image, list[Path]()

    def counted(path: Path, **options: int) -> NDArray[np.uint8]:
        decoded.append(path)
        return read(path, **options)

    def numbers(*, cache: bool = True, once: bool = True) -> list[int]:
        decoded.clear()
        data_of(tmp_path, recipe, cache=cache, examples=examples).decode(once=once)
        return sorted(int(path.stem) for path in decoded)

    monkeypatch.setattr(image_store, "read_image", counted)
    recipe, examples = waterbirds_augmented(size=8), small_examples(tmp_path, train=12, val=7)
    assert numbers(cache=False) == list(range(12 + 7 + 3))
    assert numbers() == list(range(12 + 7 + 3))
    assert numbers() == []
    assert numbers(once=False) == list(range(12))


def test_epochs_draw_other_pixels_and_a_repeated_epoch_the_same(tmp_path: Path) -> None:
    data = data_of(tmp_path, waterbirds_augmented(size=8))
    first, second, again = epoch_of(data, 0), epoch_of(data, 1), epoch_of(data, 0)
    assert torch.equal(first[0].image, again[0].image)
    assert indices(first) != indices(second)
    # Row by row, so that another order alone would not do.
    by_row = [
        torch.cat([b.image for b in e])[torch.tensor(indices(e)).argsort()] for e in (first, second)
    ]
    assert not torch.equal(by_row[0], by_row[1])


def test_a_last_batch_of_one_sample_is_left_out(tmp_path: Path) -> None:
    assert [len(b.index) for b in epoch_of(data_of(tmp_path, resize(size=2), train=11))] == [5, 5]
    assert [
        len(b.index) for b in epoch_of(data_of(tmp_path, resize(size=2), train=11, batch_size=1))
    ] == [1] * 11
    assert [len(b.index) for b in epoch_of(data_of(tmp_path, resize(size=2), train=1))] == [1]


@pytest.mark.parametrize(("smallest", "sizes"), [(2, [5, 5, 2]), (3, [5, 5]), (4, [5, 5])])
def test_a_last_batch_below_the_smallest_is_left_out(
    smallest: int, sizes: list[int], tmp_path: Path
) -> None:
    """Twelve rows in batches of five leave two."""
    data = data_of(tmp_path, resize(size=2), smallest_batch=smallest)
    assert [len(batch.index) for batch in epoch_of(data)] == sizes
    assert data.steps(1) == len(sizes)


@pytest.mark.parametrize(
    ("train", "batch_size", "smallest", "sizes"),
    [
        (13, 4, 1, [[4, 3], [4, 2]]),  # 8 together, then 5
        (11, 4, 1, [[4], [4]]),  # 8, then 3, of which one process would have a single one
        (11, 4, 2, [[4], [4]]),
        (7, 2, 1, [[2], [2]]),  # 4, then 3: a whole batch beside a single one; both are left out
        (15, 4, 4, [[4], [4]]),  # 8, then 7: a whole batch beside one that is too small
        (7, 1, 1, [[1, 1, 1], [1, 1, 1]]),
        (5, 4, 1, [[3], [2]]),
    ],
)
def test_processes_train_on_as_many_batches_each_and_on_no_row_twice(
    train: int,
    batch_size: int,
    smallest: int,
    sizes: list[list[int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = data_of(
        tmp_path, resize(size=2), train=train, batch_size=batch_size, smallest_batch=smallest
    )
    epochs = []
    for rank in range(2):
        pretend(monkeypatch, rank, 2)
        epochs.append(epoch_of(data))
    assert [[len(batch.index) for batch in epoch] for epoch in epochs] == sizes
    assert data.steps(2) == len(sizes[0])
    visited = [row for epoch in epochs for row in indices(epoch)]
    assert len(set(visited)) == len(visited)


def test_evaluation_is_in_file_order_without_augmentation(tmp_path: Path) -> None:
    data = data_of(tmp_path, waterbirds_augmented(size=8))
    assert indices(list(data.val_dataloader())) == list(range(12, 19))
    assert indices(list(data.loader("train"))) == list(range(12))
    assert indices(list(data.loader("test"))) == [19, 20, 21]
    first = next(iter(data.loader("train"))).image[0].permute(1, 2, 0).numpy()
    assert (first == data.preprocessing.evaluation.image(noise(0))).all()


def test_processes_evaluate_every_row_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = data_of(tmp_path, resize(size=2))
    shares = []
    for rank in range(3):
        pretend(monkeypatch, rank, 3)
        shares.append(indices(list(data.loader("val"))))
    assert shares == [[12, 15, 18], [13, 16], [14, 17]]


def test_processes_train_on_one_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = data_of(tmp_path, resize(size=2), batch_size=4)
    alone = indices(epoch_of(data))
    shares = []
    for rank in range(2):
        pretend(monkeypatch, rank, 2)
        shares.append(indices(epoch_of(data)))
    assert shares == [alone[0::2], alone[1::2]]


def test_an_order_chooses_the_rows(tmp_path: Path) -> None:
    """Groups of the first seven rows: 0 2 1 3 0 2 1, so one of each is left."""
    group = torch.tensor([0, 2, 1, 3, 0, 2, 1])
    data = data_of(tmp_path, resize(size=2), train=7, order=group_subsample(group, GROUPS, 0))
    chosen = indices(epoch_of(data))
    assert sorted(group[chosen].tolist()) == [0, 1, 2, 3]


class Recorder(pl.LightningModule):
    """Writes down which rows it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.rows: list[list[int]] = []

    def on_train_epoch_start(self) -> None:
        self.rows.append([])

    def training_step(self, batch: Batch) -> torch.Tensor:
        assert batch.image.dtype == torch.float32
        self.rows[-1] += batch.index.tolist()
        return self.weight.sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings(
    "ignore:.*does not have many workers.*",
    "ignore:.*treespec, LeafSpec.*",
    "ignore:You passed in a",
)
def test_lightning_tells_the_sampler_the_epoch(tmp_path: Path) -> None:
    data, recorder = data_of(tmp_path, resize(size=2)), Recorder()
    trainer = pl.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(recorder, datamodule=data)
    assert recorder.rows == [indices(epoch_of(data, epoch)) for epoch in range(3)]
