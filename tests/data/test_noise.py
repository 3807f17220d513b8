"""Wrong labels and degraded images: exact shares, the training split alone, and the record."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from debias import components
from debias import config as configs
from debias.commands.begin import claim
from debias.commands.images import image_lines
from debias.data.examples import Examples
from debias.data.noise import noise_table, with_noise
from debias.data.pictures.degraded import degrade
from debias.data.pictures.geometry import Geometry
from debias.data.pictures.image_files import ImageFiles
from debias.errors import InputError
from debias.types import Groups
from tests.data.small_pictures import noise, small_examples

#: Training images of each of three classes; 5 validation and 5 test images follow.
SIZES = (10, 7, 25)


def listed(*, classes: tuple[int, ...] = SIZES) -> Examples:
    """Rows without files: the classes one after the other, then ten rows of class 0."""
    target = torch.tensor([label for label, size in enumerate(classes) for _ in range(size)])
    target = torch.cat([target, torch.zeros(10, dtype=torch.int64)])
    names = tuple(f"{row}.png" for row in range(len(target)))
    split = torch.tensor([0] * sum(classes) + [1] * 5 + [2] * 5)
    groups = Groups(tuple("abc"[: len(classes)]), ("x",))
    return Examples(Path(), names, target, torch.zeros_like(target), split, groups, Path("t.csv"))


def moves(before: Examples, after: Examples) -> Counter[tuple[int, int]]:
    """How often a label became another one."""
    pairs = zip(before.target.tolist(), after.target.tolist(), strict=True)
    return Counter(pair for pair in pairs if pair[0] != pair[1])


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 1.0])
def test_the_exact_share_of_each_class_gets_another_class(share):
    """10, 7 and 25 images at .3: round(3), round(2.1) and round(7.5), which is 8."""
    examples = listed()
    noisy = with_noise(examples, label_noise=share, noise_seed=3)
    moved = moves(examples, noisy)
    for label, size in enumerate(SIZES):
        assert sum(count for (a, _), count in moved.items() if a == label) == round(share * size)
    assert torch.equal(noisy.target[-10:], examples.target[-10:])  # validation and test


def test_all_other_classes_are_equally_likely():
    """3,000 labels of class 0: 1,500 to each other class, within four deviations (4 * 27.4)."""
    examples = listed(classes=(3000, 1, 1))
    moved = moves(examples, with_noise(examples, label_noise=1.0))
    assert sum(moved[0, other] for other in (1, 2)) == 3000
    assert abs(moved[0, 1] - 1500) < 110


def test_the_draw_depends_on_names_and_seed_alone():
    examples = listed()
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(0))
    names = tuple(examples.images[row] for row in order.tolist())
    shuffled = replace(
        examples, images=names, target=examples.target[order], split=examples.split[order]
    )
    options = {"label_noise": 0.4, "image_noise": {"blur": 2.0}, "image_share": 0.5}
    first, second = with_noise(examples, **options), with_noise(shuffled, **options)
    assert torch.equal(first.target[order], second.target)
    assert torch.equal(first.noise.degraded[order], second.noise.degraded)
    other = with_noise(examples, **options, noise_seed=1)
    assert not torch.equal(first.target, other.target)
    assert not torch.equal(first.noise.degraded, other.noise.degraded)
    assert len({examples.digest(), first.digest(), other.digest()}) == 3


def test_images_of_several_labels_are_degraded_as_one_class():
    """Four of ten images. Each has its own combination of labels, of which round(.4) is none."""
    target = torch.tensor([[row >> bit & 1 for bit in range(4)] for row in range(10)])
    names, none = tuple(f"{row}.png" for row in range(10)), torch.zeros(10, dtype=torch.int64)
    labels = tuple(f"{no}{name}" for name in "abcd" for no in ("not ", ""))
    groups = Groups(labels, ("x",), multi_label=True)
    examples = Examples(Path(), names, target, none, none, groups, Path("t.csv"))
    noisy = with_noise(examples, image_noise={"blur": 1.0}, image_share=0.4)
    assert int(noisy.noise.degraded.sum()) == 4
    with pytest.raises(InputError, match=r"data\.label_noise needs one class per sample"):
        with_noise(examples, label_noise=0.1)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"label_noise": 0.01}, "label_noise=0.01"),
        ({"image_noise": {"blur": 1.0}, "image_share": 0.01}, "image_share=0.01"),
    ],
)
def test_a_share_that_changes_nothing_is_told(options, name):
    """round(.01 * 25) is 0."""
    with pytest.warns(UserWarning, match=f"t.csv: data.{name} changes no training image"):
        assert with_noise(listed(), **options).noise is None


def test_pairs_say_what_a_class_becomes():
    examples = listed()
    noisy = with_noise(examples, label_noise=0.5, label_pairs=[["a", "c"], [2, "b"]])
    assert moves(examples, noisy) == {(0, 2): 5, (2, 1): 12}


def test_no_noise_is_the_same_data():
    examples = listed()
    same = with_noise(examples, label_noise=0.0, image_noise={"jpeg": 5}, image_share=0.0)
    assert same.digest() == examples.digest()
    assert same.noise is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_noise": 1.5}, r"data.label_noise must lie in \[0, 1\]; got 1.5"),
        ({"image_share": -0.1}, r"data.image_share must lie in \[0, 1\]"),
        ({"label_pairs": [["a", "a"]]}, r"pairs \[from, to\] of two different classes; got"),
        ({"label_pairs": [["a", "d"]]}, "data.label_pairs names 'd', which is no class; valid: a"),
        ({"label_pairs": []}, r"data.label_pairs must hold a pair \[from, to\], or be null"),
        ({"image_noise": {"fog": 1}}, "a name in data.image_noise must be .*gaussian"),
        ({"image_noise": {"jpeg": 0}}, r"data.image_noise.jpeg must lie in \[1, 100\]; got 0"),
    ],
)
def test_mistakes(options, message):
    with pytest.raises(InputError, match=message):
        with_noise(listed(), **options)


def test_degradations_of_known_pictures():
    """A constant picture stays under blur, JPEG and blocks. Blocks of 2 hold the mean of 4."""
    flat = np.full((8, 6, 3), (200, 100, 50), np.uint8)
    for step in (("blur", 2.0), ("jpeg", 60.0), ("pixelate", 2.0), ("gaussian", 0.0)):
        changed = degrade(flat, (step,), seed=0, name="a")
        assert np.abs(changed.astype(int) - flat).max() <= 3, step  # JPEG rounds colours
    ramp = np.arange(16, dtype=np.uint8).reshape(4, 4)[..., None].repeat(3, axis=2) * 2
    blocks = degrade(ramp, (("pixelate", 2.0),), seed=0, name="a")[..., 0]
    assert blocks[::2, ::2].tolist() == [[5, 9], [21, 25]]
    assert np.array_equal(blocks, blocks[::2, ::2].repeat(2, axis=0).repeat(2, axis=1))
    grey = np.full((100, 100, 3), 128, np.uint8)
    noisy = degrade(grey, (("gaussian", 20.0),), seed=0, name="a").astype(float)
    assert noisy.std() == pytest.approx(20, rel=0.03)
    assert noisy.mean() == pytest.approx(128, abs=0.5)


def test_the_order_of_the_option_does_not_count():
    """The name of a run sorts the keys of a section, so an order would give two runs one name."""
    one, other = {"jpeg": 10.0, "blur": 2.0}, {"blur": 2.0, "jpeg": 10.0}
    first, second = (with_noise(listed(), image_noise=each) for each in (one, other))
    assert first.noise.steps == second.noise.steps == (("blur", 2.0), ("jpeg", 10.0))
    assert first.digest() == second.digest()


def test_a_line_says_how_many_images_are_changed():
    """Of 10, 7 and 25 images, 5, 4 and 12 have wrong labels, as round(3.5) is 4."""
    noisy = with_noise(listed(), label_noise=0.5, image_noise={"jpeg": 10.0, "blur": 2.5})
    line = "noise in 42 training images: 21 wrong labels, 42 degraded: blur 2.5, jpeg 10"
    assert image_lines(noisy)[1] == line
    assert not any("noise" in line for line in image_lines(listed()))


def test_only_the_degraded_training_images_are_read_with_noise(tmp_path):
    examples = small_examples(tmp_path)
    noisy = with_noise(examples, image_noise={"gaussian": 30.0}, image_share=0.34)
    rows = noisy.noise.degraded.nonzero().flatten().tolist()
    assert len(rows) == 2  # round(.34 * 3) of each class
    store = noisy.store
    for row in range(len(examples)):
        changed = row in rows
        assert np.array_equal(store.read(row), noise(row)) != changed
        assert np.array_equal(store.read(row), store.read(row))
        assert (store.fingerprint(row) == examples.store.fingerprint(row)) != changed
    # the noise depends on the name, so a cache must not take the picture of another name
    other = replace(store, names=[f"folder/{name}" for name in store.names])
    assert not np.array_equal(other.read(rows[0]), store.read(rows[0]))
    assert other.fingerprint(rows[0]) != store.fingerprint(rows[0])
    images, mask = (
        ImageFiles.of(each, torch.arange(12), Geometry((), 12, 10)).fetch(torch.tensor(rows))[:2]
        for each in (examples, noisy)
    )
    assert torch.equal(images[1], mask[1])  # masks are not degraded


def test_every_data_set_has_the_options_and_a_run_records_them(tmp_path):
    table = tmp_path / "t.csv"
    lines = [f"{row}.png,{'ab'[row % 2]},x,{'train' if row < 8 else 'test'}" for row in range(12)]
    table.write_text("\n".join(["path,target,bias,split", *lines]))
    section = {"name": "table", "file": str(table), "holdout": 0.0, "label_noise": 0.5}
    examples = components.construct("data", section, {})
    assert int((examples.target != examples.noise.given).sum()) == 4
    text = noise_table(examples)
    assert text.splitlines()[0] == "path,given,trained,image"
    assert len(text.splitlines()) == 5
    config = configs.from_plain({"data": section})
    claim(tmp_path / "run", config, examples, {"precision": "32-true"})
    assert (tmp_path / "run/noise.csv").read_text() == text
    with pytest.raises(InputError, match=r"unknown option data.label_nois; did you mean 'label_n"):
        components.construct("data", {**section, "label_nois": 1}, {})
