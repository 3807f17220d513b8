"""The built-in set: the same bytes every time, the promised counts, whole or not at all."""

import sys
import threading

import cv2
import numpy as np
import pytest

from debias.data.checks import check_examples
from debias.data.sets import bird_drawing
from debias.data.sets.bird_drawing import KINDS, SPREAD, draw_bird
from debias.data.sets.drawn_birds import drawn_birds
from tests.data.small_pictures import digest

# Not imported by name: the package may well export the function under the name of its module.
module = sys.modules["debias.data.sets.drawn_birds"]

SMALL = {"train": 40, "val": 8, "test": 12, "size": 32}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    root = tmp_path_factory.mktemp("drawn") / "birds"
    return root, drawn_birds(root=str(root), **SMALL)


def test_counts_by_hand(drawn):
    """Of 20 training images of each class 95 % = 19 are on their own place; of the others, half."""
    _, examples = drawn
    assert examples.frequencies("train").tolist() == [19, 1, 1, 19]
    assert examples.frequencies("val").tolist() == [2, 2, 2, 2]
    assert examples.frequencies("test").tolist() == [3, 3, 3, 3]
    assert examples.groups.names == (
        "landbird-land",
        "landbird-water",
        "waterbird-land",
        "waterbird-water",
    )


def test_is_sound_and_has_masks(drawn):
    check_examples(drawn[1], require=("bias", "mask"))


@pytest.mark.parametrize(
    ("aligned", "counts"), [(1.0, [20, 0, 0, 20]), (0.5, [10, 10, 10, 10]), (0.0, [0, 20, 20, 0])]
)
def test_aligned_rate(tmp_path, aligned, counts):
    examples = drawn_birds(root=str(tmp_path / "birds"), aligned=aligned, **SMALL)
    assert examples.frequencies("train").tolist() == counts


def test_same_settings_write_the_same_bytes(drawn, tmp_path):
    drawn_birds(root=str(tmp_path / "again"), **SMALL)
    assert digest(tmp_path / "again") == digest(drawn[0])


def test_the_test_birds_do_not_depend_on_the_training_images(drawn, tmp_path):
    drawn_birds(root=str(tmp_path / "more"), **(SMALL | {"train": 60}), aligned=0.5)
    here, there = digest(drawn[0]), digest(tmp_path / "more")
    tests = [name for name in here if "_test_" in name]
    assert len(tests) == 2 * 12  # images and masks
    assert [here[name] for name in tests] == [there[name] for name in tests]


def test_no_picture_is_drawn_twice_and_another_seed_draws_others(drawn, tmp_path):
    drawn_birds(root=str(tmp_path / "other"), **SMALL, seed=1)
    pictures = [
        value
        for root in (drawn[0], tmp_path / "other")
        for name, value in digest(root).items()
        if "jpg" in name
    ]
    assert len(set(pictures)) == len(pictures) == 2 * 60


def test_files_are_as_in_the_release(drawn):
    root, examples = drawn
    header = (root / "metadata.csv").read_text().splitlines()[0]
    assert header == "img_id,img_filename,y,split,place,place_filename"
    for image, mask in zip(examples.images, examples.masks, strict=True):
        assert cv2.imread(str(root / image), cv2.IMREAD_UNCHANGED).shape == (32, 32, 3)
        foreground = cv2.imread(str(examples.mask_root / mask), cv2.IMREAD_UNCHANGED)
        assert foreground.shape == (32, 32)
        assert np.unique(foreground).tolist() == [0, 255]


def test_a_second_call_draws_nothing(drawn, monkeypatch):
    monkeypatch.setattr(module, "draw_bird", None)
    assert drawn_birds(root=str(drawn[0]), **SMALL).images == drawn[1].images


def test_other_settings_are_an_error_that_names_both(drawn):
    with pytest.raises(
        ValueError,
        match=r"was drawn with aligned=0\.95, seed=0, .* aligned=0\.9, seed=3: set another",
    ):
        drawn_birds(root=str(drawn[0]), **SMALL, aligned=0.9, seed=3)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"contains no drawn birds: .*; set another root"):
        drawn_birds(root=str(tmp_path), **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_failure_half_way_leaves_nothing(tmp_path, monkeypatch):
    def fail_on_the_tenth(rng, *, target, place, size):
        calls.append(target)
        if len(calls) == 10:
            raise KeyboardInterrupt
        return draw_bird(rng, target=target, place=place, size=size)

    calls: list[int] = []
    monkeypatch.setattr(module, "draw_bird", fail_on_the_tenth)
    with pytest.raises(KeyboardInterrupt):
        drawn_birds(root=str(tmp_path / "birds"), **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_leaves_behind_does_no_harm(drawn, tmp_path):
    """A killed process cannot clean up: its draft stays, and the next one draws again."""
    (tmp_path / ".birds-0123" / "segmentations").mkdir(parents=True)
    drawn_birds(root=str(tmp_path / "birds"), **SMALL)
    assert digest(tmp_path / "birds") == digest(drawn[0])


def test_two_at_once_write_one_set(drawn, tmp_path, monkeypatch):
    """Both have begun before either goes on: one puts its set in place, the other takes that and
    clears its own.
    """
    both_began = threading.Barrier(2, timeout=60)
    write = module._write
    monkeypatch.setattr(module, "_write", lambda *arguments: (both_began.wait(), write(*arguments)))
    results = []
    call = lambda: results.append(drawn_birds(root=str(tmp_path / "birds"), **SMALL))  # noqa: E731
    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(result) for result in results] == [60, 60]
    assert [path.name for path in tmp_path.iterdir()] == ["birds"]
    assert digest(tmp_path / "birds") == digest(drawn[0])


@pytest.mark.parametrize(
    "wrong",
    [{"aligned": 1.1}, {"aligned": -0.1}, {"train": 3}, {"test": 0}, {"size": 8}, {"seed": -1}],
)
def test_bounds(tmp_path, wrong):
    with pytest.raises(
        ValueError, match=r"drawn_birds needs aligned in \[0, 1\], at least 4 images per split"
    ):
        drawn_birds(root=str(tmp_path / "birds"), **(SMALL | wrong))
    assert not (tmp_path / "birds").exists()


@pytest.mark.parametrize("target", [0, 1])
def test_the_mask_is_the_bird(monkeypatch, target):
    """On a ground of another colour, what differs is the bird, but for blended edges."""
    ground = np.array([0, 255, 0], np.uint8)
    monkeypatch.setattr(
        bird_drawing, "background", lambda rng, place, side: np.tile(ground, (side, side, 1))
    )
    for seed in range(20):
        image, mask = draw_bird(np.random.default_rng(seed), target=target, place=0, size=64)
        assert (image.shape, image.dtype, mask.shape, mask.dtype) == (
            (64, 64, 3),
            np.uint8,
            (64, 64),
            np.uint8,
        )
        differs = np.abs(image.astype(int) - ground).max(axis=2) > 60
        assert (differs & (mask > 0)).sum() / (differs | (mask > 0)).sum() > 0.85
        # the whole bird is where a crop of 7/8 still shows it
        assert mask[4:-4, 4:-4].sum() == mask.sum() > 0


def mean_colours(target, place, inside):
    """``(60, 3)`` mean red, green and blue of 60 pictures, inside the mask or outside it."""
    pictures = [
        draw_bird(np.random.default_rng(seed), target=target, place=place, size=32)
        for seed in range(60)
    ]
    return np.array([image[mask == 255 * inside].mean(axis=0) for image, mask in pictures])


@pytest.mark.parametrize("target", [0, 1])
def test_the_place_shows_at_a_glance(target):
    """In every picture water is bluer than any land."""
    red_to_blue = [mean_colours(target, place, inside=False) @ (-1, 0, 1) for place in (0, 1)]
    assert red_to_blue[0].max() < red_to_blue[1].min()


def test_colour_does_not_tell_the_kind():
    """Same draws, other kind: the same plumage, but for larger or smaller parts of it."""
    difference = mean_colours(0, 0, inside=True).mean(axis=0) - mean_colours(
        1, 0, inside=True
    ).mean(axis=0)
    assert np.abs(difference).max() < 10


def test_the_kinds_overlap():
    """Four traits at distances d give sqrt(sum d^2) = 4.1 in all: a perfect eye errs on P(z > 2.06)
    = 2 % of birds.
    """
    distance = [abs(a - b) / spread for a, b, spread in zip(*KINDS, SPREAD, strict=True)]
    assert np.linalg.norm(distance) == pytest.approx(4.1, abs=0.1)
