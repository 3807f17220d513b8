"""Filters: worked examples, reference results where at hand, waves, any batching."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from debias.metrics.accuracy.counts import Tally
from debias.metrics.frequency.bands import (
    CUTOFFS,
    band_pass_scalars,
    curve_area,
    half_accuracy_cutoff,
    high_pass,
    low_pass,
    square_window,
)
from tests.metrics.golden_cases import golden_record

golden = partial(golden_record, "frequency_bias.json")
nan = math.nan


def doubles(values: list) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def wave(size: int, cycles: int) -> Tensor:
    """``(1, 1, size, size)`` 0.5 plus a wave of ``cycles`` per image across, of height 0.25."""
    across = torch.arange(size, dtype=torch.float64) / size
    return (
        (0.5 + 0.25 * torch.cos(2 * math.pi * cycles * across))
        .expand(1, 1, size, size)
        .contiguous()
    )


# --- filters ---


def test_reference_square_filter():
    case = golden("square_band_filter_gavrikov")
    image = doubles([case["inputs"]["image"]])
    for key, expected in case["expected"].items():
        kind, _, cutoff = key.partition("_")
        found = (low_pass if kind == "low" else high_pass)(image, cutoff=float(cutoff))
        assert torch.allclose(found[0], doubles(expected), rtol=0, atol=case["tolerance"]), key
        assert torch.allclose(
            (low_pass if kind == "low" else high_pass)(image.float(), cutoff=float(cutoff)),
            found.float(),
            atol=1e-6,
        )


def test_filters_let_the_right_waves_pass():
    """Of 16 x 16 images: low-pass .5 keeps |k| < 4, high-pass .5 what is outside [-4, 4), less the
    mean of .5.

    A wave of 4 cycles lies on the edge: one half of it, -4, is kept by the one filter, the other
    half by the other.
    """
    low, high, flat = wave(16, 2), wave(16, 6), torch.full((1, 1, 16, 16), 0.5, dtype=torch.float64)
    assert torch.allclose(low_pass(low, cutoff=0.5), low)
    assert torch.allclose(low_pass(high, cutoff=0.5), flat)
    assert torch.allclose(high_pass(low, cutoff=0.5), flat * 0, atol=1e-12)
    assert torch.allclose(high_pass(high, cutoff=0.5), (high - 0.5).clamp(min=0), atol=1e-12)
    assert torch.allclose(low_pass(wave(16, 4), cutoff=0.5), (wave(16, 4) + 0.5) / 2)


def test_cutoff_1_keeps_all_and_0_nothing():
    image = torch.rand(2, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    for keep, cutoff in ((low_pass, 1.0), (high_pass, 1.0)):
        assert torch.allclose(keep(image, cutoff=cutoff), image, atol=1e-6)
    for drop in (low_pass, high_pass):
        assert torch.equal(
            drop(image, cutoff=0.0).abs() > 1e-6, torch.zeros_like(image, dtype=torch.bool)
        )
    assert low_pass(image.half(), cutoff=0.5).dtype == torch.half


@pytest.mark.parametrize(("height", "width"), [(4, 8), (5, 5)])
def test_square_window_by_its_definition(height, width):
    """Rows and columns -r to r - 1 from the middle, r the whole part of cutoff x half the side."""
    for cutoff in (0.0, 0.3, 0.5, 0.99, 1.0):
        rows, columns = int(cutoff * height / 2), int(cutoff * width / 2)
        expected = [
            [
                -rows <= i - height // 2 < rows and -columns <= j - width // 2 < columns
                for j in range(width)
            ]
            for i in range(height)
        ]
        assert square_window(height, width, cutoff=cutoff).tolist() == expected


# --- the curve ---


def test_worked_curve():
    """0, .4, .8 at 0, .5, 1: area (.2 * .5 + .6 * .5) = .4. Half of .6, .3, is 3/4 of the way from
    0 to .5: .375.
    """
    accuracies, cutoffs = doubles([0.0, 0.4, 0.8]), doubles([0.0, 0.5, 1.0])
    assert curve_area(accuracies, cutoffs).item() == pytest.approx(0.4)
    assert curve_area(accuracies, cutoffs / 2 + 0.2).item() == pytest.approx(0.4)
    assert half_accuracy_cutoff(accuracies, cutoffs, doubles(0.6)).item() == pytest.approx(0.375)
    assert half_accuracy_cutoff(accuracies, cutoffs, doubles(0.8)).item() == 0.5
    assert half_accuracy_cutoff(accuracies, cutoffs, doubles(0.0)).item() == 0.0
    assert half_accuracy_cutoff(accuracies / 4, cutoffs, doubles(0.6)).isnan()
    assert half_accuracy_cutoff(accuracies, cutoffs, doubles(nan)).isnan()
    assert curve_area(doubles([0.0, nan]), doubles([0.0, 1.0])).isnan()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=4, max_size=4))
def test_band_pass_scalars_agree_with_a_loop(rows):
    tally = Tally(*torch.tensor([(min(right, total), total) for right, total in rows]).T)
    scalars = band_pass_scalars(tally, (0.1, 0.5, 0.9))
    found = {name: value.item() for name, value in scalars.items()}
    values = [min(right, total) / total if total else nan for right, total in rows]
    keys = ("accuracy/0.1", "accuracy/0.5", "accuracy/0.9", "accuracy/clean")
    assert [found[key] for key in keys] == pytest.approx(values, nan_ok=True)
    assert found["area"] == pytest.approx(
        (values[0] / 2 + values[1] + values[2] / 2) / 2, nan_ok=True
    )


def test_cutoffs_are_named_in_their_order():
    ones = torch.ones(len(CUTOFFS) + 1, dtype=torch.long)
    keys = list(band_pass_scalars(Tally(ones, ones), CUTOFFS))
    assert keys[: len(CUTOFFS)] == [f"accuracy/{cutoff:g}" for cutoff in CUTOFFS]
