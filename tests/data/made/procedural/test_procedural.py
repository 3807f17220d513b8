"""Drawn sets for pre-training: keys of the pictures, the spectra of noise, and mistakes."""

import numpy as np
import pytest
import torch

from debias.components import construct
from debias.data.examples import SPLITS
from debias.data.made.allocation import generator
from debias.data.made.procedural import fractal_pictures
from debias.data.made.procedural.affine_systems import draw_system
from debias.data.made.procedural.classes import ProceduralDesign
from debias.data.made.procedural.fractal_pictures import fractal_picture, several_fractals
from debias.data.made.procedural.spectrum_noise import (
    EXPONENTS,
    draw_exponents,
    noise_picture,
    shaped_noise,
)
from debias.errors import InputError

SETS = {"fractals": "systems", "spectrum_noise": "spectra"}


def drawn(name, root, **options):
    few = {SETS[name]: 3, "train": 4, "val": 3, "test": 3, "size": 16, **options}
    return construct("data", {"name": name, "root": str(root), **few}, {})


@pytest.mark.parametrize("name", SETS)
def test_a_picture_has_its_key(name, tmp_path):
    """The same seed, split and row give the same picture in a larger set; another seed does not."""
    first = drawn(name, tmp_path)
    assert [len(first.rows(split)) for split in SPLITS] == [4, 3, 3]
    assert first.target[:4].tolist() == [0, 1, 2, 0]
    assert first.bias.eq(-1).all()
    images, more, other = (
        [source.store.read(row) for row in source.rows("train").tolist()]
        for source in (first, drawn(name, tmp_path, train=6), drawn(name, tmp_path, seed=1))
    )
    assert np.array_equal(images, more[:4])
    assert not any(np.array_equal(*pair) for pair in zip(images, other, strict=True))
    keys = {first.store.read(row).tobytes() for row in range(len(first))}
    assert len(keys) == 10


def test_one_key_gives_one_fractal():
    """Pictures of a system differ."""
    system = draw_system(generator(0, 3, 0))
    pictures = [fractal_picture(system, 32, generator(0, 0, row)) for row in (0, 0, 1)]
    assert pictures[0].shape == (32, 32, 3)
    assert np.array_equal(*pictures[:2])
    assert not np.array_equal(*pictures[1:])


def test_several_fractals_are_labels(tmp_path):
    """Every picture has the system of its number, and some have another one too."""
    examples = drawn("fractals", tmp_path, systems=2, train=12, instances=3)
    assert examples.groups.label_names == ("system 0", "system 1")
    assert examples.groups.multi_label
    assert examples.bias.eq(-1).all()
    labels, first = examples.target[:12], torch.arange(12) % 2
    assert labels.gather(1, first[:, None]).eq(1).all()
    assert 0 < labels.gather(1, 1 - first[:, None]).sum() < 12
    again = drawn("fractals", tmp_path, systems=2, train=4, instances=3)
    assert torch.equal(again.target[:4], labels[:4])
    assert np.array_equal(again.store.read(3), examples.store.read(3))


def test_a_picture_shows_up_to_its_number_of_systems_at_random():
    """All numbers from 1 to 3 are equally likely. Deviations of 3,000 draws are 0.009 and 0.02."""
    design, rng = ProceduralDesign(5, 5, 5, 5, 16, 0, instances=3), generator(0)
    shown = [design.shown(4, rng) for _ in range(3000)]
    assert {each[0] for each in shown} == {4}
    counts = np.bincount([len(each) for each in shown], minlength=4) / 3000
    assert counts == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3], abs=0.03)
    others = np.bincount([other for each in shown for other in each[1:]])
    assert others / others.sum() == pytest.approx(np.full(5, 0.2), abs=0.03)
    assert ProceduralDesign(5, 5, 5, 5, 16, 0).shown(3, rng) == [3]


def test_one_instance_is_the_set_without_the_option(tmp_path):
    first, again = drawn("fractals", tmp_path), drawn("fractals", tmp_path, instances=1)
    assert first.root == again.root
    assert first.target.ndim == 1
    several = [drawn("fractals", tmp_path, instances=instances).root for instances in (2, 3)]
    assert len({first.root, *several}) == 3


def test_small_fractals_lie_on_the_ground_one_before_the_other(monkeypatch):
    """Their sides are from 0.15 to 0.6 of 40 pixels, and they reach every border."""
    drawn_sides, binned = [], fractal_pictures._binned

    def spied(points, side, **window):
        drawn_sides.append(side)
        return binned(points, side, **window)

    monkeypatch.setattr(fractal_pictures, "_binned", spied)
    monkeypatch.setattr(fractal_pictures, "_blurred", lambda picture, rng: picture)
    systems = [draw_system(generator(0, 3, number)) for number in range(3)]
    sides, reached = [], np.zeros((40, 40), bool)
    for row in range(40):
        ground, one, three = (
            several_fractals(shown, 40, generator(row)).astype(int)
            for shown in ([], systems[:1], systems)
        )
        first = (ground != one).any(axis=2)
        rows, columns = np.nonzero(first)
        sides.append(1 + max(np.ptp(rows), np.ptp(columns)))
        assert first.sum() < 0.9 * (1 + np.ptp(rows)) * (1 + np.ptp(columns))  # not a filled square
        reached |= first
        assert (ground != three).any(axis=2)[first].all()
    assert 16 < max(sides) <= 24
    assert (min(drawn_sides), max(drawn_sides)) == (6, 23)
    assert reached[[0, -1]].any(axis=1).all()
    assert reached[:, [0, -1]].any(axis=0).all()


def test_each_pixel_of_a_small_fractal_has_its_own_colour(monkeypatch):
    """Red and green are the row and the column within the fractal."""

    def places(density, rng):
        blue = np.full(density.shape, 200)
        return np.stack([*np.indices(density.shape), blue], axis=2).astype(np.uint8)

    monkeypatch.setattr(fractal_pictures, "_coloured", places)
    monkeypatch.setattr(fractal_pictures, "_blurred", lambda picture, rng: picture)
    systems = [draw_system(generator(0, 3, 0))]
    ground, one = (several_fractals(shown, 40, generator(1)) for shown in ([], systems))
    rows, columns = np.nonzero((ground != one).any(axis=2))
    assert len(rows) > 20
    shift = one[rows, columns, :2] - np.stack([rows, columns], axis=1)
    assert np.ptp(shift, axis=0).tolist() == [0, 0]


def test_noise_has_the_spectrum_of_its_class():
    """|F| (|fx|^a + |fy|^b) is 1 at every frequency, and the mean is 0."""
    noise = shaped_noise(np.array([1.0, 2.0]), generator(0).standard_normal((2, 32, 32)))
    assert np.abs(noise.mean(axis=(1, 2))).max() < 1e-12
    across, down = np.meshgrid(*[np.abs(np.fft.fftfreq(32))] * 2)
    flat = np.abs(np.fft.fft2(noise)) * (across + down**2)
    assert flat[:, 0, 0] == pytest.approx(0)
    assert np.allclose(flat.reshape(2, -1)[:, 1:], 1)


def test_noise_uses_all_levels_and_steep_spectra_are_smooth():
    rough, smooth = (
        noise_picture(np.array([a, a]), 32, generator(0)).astype(float) for a in EXPONENTS
    )
    for picture in (rough, smooth):
        assert (picture.min(), picture.max()) == (0, 255)
    steps = [np.abs(np.diff(picture, axis=0)).mean() for picture in (rough, smooth)]
    assert steps[0] > 3 * steps[1]


def test_exponents_of_a_class_are_near_its_part():
    exponents = np.array([draw_exponents((1.0, 2.0), generator(row)) for row in range(400)])
    means, halves = exponents.mean(axis=1), (exponents[:, 0] - exponents[:, 1]) / 2
    assert 1 <= means.min() < 1.05
    assert 1.95 < means.max() <= 2
    assert halves.std() == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        (None, 1, "data.{} must be at least 2; got 1"),
        ("val", 2, "data.val must be at least 3; got 2: each of the 3 {} needs a picture"),
        ("size", 8, r"data.size must lie in \[16, 512\]"),
        ("seed", -1, "data.seed must be at least 0"),
    ],
)
def test_refuses(name, option, value, message, tmp_path):
    with pytest.raises(InputError, match=message.format(SETS[name])):
        drawn(name, tmp_path, **{option or SETS[name]: value})
    assert not list(tmp_path.iterdir())


def test_refuses_pictures_without_a_fractal(tmp_path):
    with pytest.raises(InputError, match=r"data.instances must be at least 1; got 0"):
        drawn("fractals", tmp_path, instances=0)
