"""A trained model is asked batch by batch, on pictures as they are evaluated or as a whole."""

from pathlib import Path

import pytest
import torch

from debias.data.datamodule import ImageData
from debias.data.orders import shuffled
from debias.data.pictures.geometry import Resize
from debias.data.pictures.preprocessing import waterbirds
from debias.parts import Parts
from tests.evaluation.test_looking import RED_OR_BLUE, examples_of, parts_of, red_on_blue


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    """Eight red squares on blue, of which the model says "dog" (1); pixels are x / 255."""
    examples = examples_of(tmp_path, [0, 0, 1, 1] * 2, [0, 1] * 4, [red_on_blue()[0]] * 8)
    return parts_of(examples, RED_OR_BLUE)


def test_rows_come_in_their_order_in_the_batches_of_training(parts: Parts) -> None:
    batches = list(parts.batches(parts.loader(torch.tensor([6, 0, 3, 5])), "", progress=False))
    assert [batch.index.tolist() for batch in batches] == [[6, 0, 3], [5]]
    assert batches[0].target.tolist() == [1, 0, 1]
    assert all(batch.mask is not None for batch in batches)


def test_one_row_is_its_normalised_picture(parts: Parts) -> None:
    batch = parts.one(5)
    pixels = torch.from_numpy(red_on_blue()[0]).permute(2, 0, 1) / 255
    torch.testing.assert_close(batch.image[0], pixels)
    assert (batch.index.tolist(), batch.target.tolist(), batch.bias.tolist()) == ([5], [0], [1])


def test_whole_pictures_are_squeezed_where_evaluation_cuts(parts: Parts) -> None:
    """16 x 16 pixels become 8 x 8: all of them, where the evaluated picture is the middle."""
    order, normalisation = shuffled(torch.zeros(1)), {"mean": (0.0,) * 3, "std": (1.0,) * 3}
    data = ImageData(parts.examples, waterbirds(size=8), order, **normalisation, batch_size=3)
    cut = parts._replace(data=data)
    images = [
        next(cut.batches(cut.loader(torch.tensor([2]), whole=whole), "", progress=False)).image[0]
        for whole in (True, False)
    ]
    whole = torch.from_numpy(Resize(8, 8)(red_on_blue()[0])).permute(2, 0, 1) / 255
    torch.testing.assert_close(images[0], whole)
    assert images[1].shape == images[0].shape
    assert not torch.allclose(images[0], images[1])


def test_decisions_are_made_on_a_few_images_at_a_time(parts: Parts) -> None:
    """``eval_batch_size`` is 7. Blue is more than red, so all eight are dogs."""
    seen: list[int] = []
    hook = parts.module.model.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    batches = [parts.one(row) for row in range(8)]
    batch = batches[0]._replace(image=torch.cat([one.image for one in batches]))
    decisions = parts.decisions(batch)
    hook.remove()
    assert seen == [7, 1]
    assert decisions.tolist() == [1] * 8
    assert not decisions.requires_grad


def test_decisions_are_made_in_the_runs_precision(parts: Parts) -> None:
    """Under bf16-mixed the network computes under autocast, as validation does."""
    used: list[bool] = []
    hook = parts.module.model.register_forward_pre_hook(
        lambda *_: used.append(torch.is_autocast_enabled("cpu"))
    )
    for precision in ("32-true", "bf16-mixed"):
        parts._replace(precision=precision).decisions(parts.one(0))
    hook.remove()
    assert used == [False, True]


def test_ready_is_evaluation_mode(parts: Parts) -> None:
    parts.module.train()
    assert not parts.ready().training
    assert not parts.module.model.training


def test_rows_come_from_the_cache_of_a_run_that_has_one(parts: Parts, tmp_path: Path) -> None:
    """Their files need no longer be there; without a cache they are read."""
    rows = torch.tensor([6, 0, 3, 5])
    read = list(parts.batches(parts.loader(rows), "", progress=False))
    parts.data.cache_dir = tmp_path / "cache"
    parts.data._sources.clear()
    parts.loader(rows)
    for name in parts.examples.images:
        (parts.examples.root / name).unlink()
    cached = list(parts.batches(parts.loader(rows), "", progress=False))
    for before, now in zip(read, cached, strict=True):
        assert torch.equal(before.image, now.image)
        assert torch.equal(before.index, now.index)
