"""Drawn sets for pre-training: keys of the pictures, the spectra of noise, and mistakes."""

import numpy as np
import pytest

from debias.components import construct
from debias.data.examples import SPLITS
from debias.data.made.allocation import generator
from debias.data.made.procedural.affine_systems import draw_system
from debias.data.made.procedural.fractals import fractal_picture
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
