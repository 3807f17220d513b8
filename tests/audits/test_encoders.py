"""Tests of encoders, on features that are known and on files of a few pixels."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from debias.audits.encoders.stimuli import association_csv, association_rows, read_stimuli
from debias.audits.encoders.traces import (
    FAMILIES,
    processed,
    processing_influence,
    trace_accuracy,
)
from debias.errors import InputError
from debias.metrics.leakage.ieat import association_test, effect_interval


def one_hot(of, size):
    return np.eye(size, dtype=np.float32)[of]


def features(weight, labels):
    """``(2, N, 4)``: one-hot class, and one-hot processing times a weight."""
    return np.stack(
        [
            np.hstack([one_hot(labels, 2), weight * one_hot(np.full(len(labels), kind), 2)])
            for kind in (0, 1)
        ]
    ).astype(np.float32)


def test_an_encoder_of_traces_finds_the_same_processing_and_no_meaning():
    """The check of the dossier: weight 10, 2 classes, 2 processings, k = 1."""
    labels = np.array([0, 1])
    strong = processing_influence(features(10, labels), features(10, labels), labels, labels, k=1)
    assert (strong.baseline, strong.pos_same, strong.neg_same, strong.effect) == (1, 1, 0, 1)
    assert strong.all_diff == 1
    none = processing_influence(features(0, labels), features(0, labels), labels, labels, k=1)
    assert none == (1, 1, 1, 1, 0)


def test_neighbours_vote():
    """Two of the three nearest are of class 1, though the nearest is of class 0."""
    train = np.array([[1.0, 0], [0.9, 0.1], [0.9, 0.1], [0, 1]], np.float32)
    train, label = np.stack([train, train]), np.array([0, 1, 1, 0])
    test = np.array([[[1, 0]], [[1, 0]]], np.float32)
    found = [processing_influence(train, test, label, np.array([1]), k=k).baseline for k in (1, 3)]
    assert found == [0, 1]


def test_a_probe_reads_the_processing_if_it_is_there():
    generator, labels = np.random.default_rng(0), np.arange(40) % 2
    noise = generator.normal(0, 0.3, (2, 40, 4)).astype(np.float32)
    for weight, low, high in ((3, 0.95, 1), (0, 0.3, 0.7)):
        rows = features(weight, labels) + noise
        assert low <= trace_accuracy(rows[:, :30], rows[:, 30:], generator) <= high


def test_families_have_the_published_number_of_values_and_change_pictures():
    assert {name: len(family) for name, family in FAMILIES.items()} == {
        "jpeg": 6,
        "sharpening": 3,
        "resize": 3,
        "interpolation": 4,
    }
    picture = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3), np.uint8)
    for family in FAMILIES.values():
        results = [
            processed(picture, each, np.random.default_rng(0))[0] for each in family.values()
        ]
        assert all(result.dtype == np.uint8 and result.shape[2] == 3 for result in results)
        assert len({result.tobytes() for result in results}) == len(family)
    halves = processed(picture, FAMILIES["resize"]["0.5x"], np.random.default_rng(0))
    assert [half.shape for half in halves] == [(20, 20, 3)] * 2
    scales = processed(picture, FAMILIES["interpolation"]["box"], np.random.default_rng(0))
    assert scales[0].shape != scales[1].shape


@pytest.fixture
def stimuli(tmp_path):
    """Test "light": X and A are light, Y and B dark. Test "nothing" has X and Y alike."""
    levels = {"light": {"X": 250, "Y": 5, "A": 240, "B": 20}, "nothing": dict.fromkeys("XYAB", 99)}
    for test, sides in levels.items():
        for side, level in sides.items():
            (tmp_path / test / side).mkdir(parents=True)
            for number in range(3):
                image = Image.new("RGB", (4, 4), (level, level + number, 255 - level))
                image.save(tmp_path / test / side / f"{number}.png")
    return tmp_path


def colours(files):
    return torch.stack([torch.tensor(Image.open(file).getpixel((0, 0))).float() for file in files])


def test_a_folder_of_stimuli_gives_one_row_per_test(stimuli):
    tests = read_stimuli(stimuli)
    assert [test.name for test in tests] == ["light", "nothing"]
    light, nothing = association_rows(tests, colours)
    expected = association_test(*(colours(side) for side in tests[0].sides))
    assert light.effect_size == pytest.approx(float(expected.effect_size))
    assert light.effect_size > 1.8
    assert light.p_value == pytest.approx(1 / 20)
    assert light.adjusted == pytest.approx(2 / 20)
    assert light.sizes == (3, 3, 3, 3)
    # equal sets: s does not tell X from Y
    assert abs(nothing.effect_size) < 1e-6 or math.isnan(nothing.effect_size)
    header, first, *_ = association_csv([light]).splitlines()
    assert header == "test,d,low,high,p,p_holm,n_x,n_y,n_a,n_b"
    assert (light.low, light.high) == effect_interval(light.effect_size, 3, 3)
    assert first.startswith(f"light,{light.effect_size:.6g},")
    assert first.endswith(",0.05,0.1,3,3,3,3")


def test_unequal_sides_have_an_effect_and_no_p_value(stimuli):
    (stimuli / "light" / "X" / "0.png").unlink()
    light = association_rows(read_stimuli(stimuli), colours)[0]
    assert light.effect_size > 1.8
    assert math.isnan(light.p_value)
    assert math.isnan(light.adjusted)


def test_a_folder_that_is_no_test_is_an_error(stimuli, tmp_path):
    with pytest.raises(InputError, match="has no folder of a test"):
        read_stimuli(tmp_path / "absent")
    for file in (stimuli / "light" / "B").iterdir():
        file.unlink()
    with pytest.raises(InputError, match=r"no pictures in .*B"):
        read_stimuli(stimuli)
    (stimuli / "light" / "B").rmdir()
    with pytest.raises(InputError, match="has no folder B: a test needs X, Y, A, B"):
        read_stimuli(stimuli)
