"""Filters, noise in a band, and the channel: worked examples, reference results where at hand,
waves, any batching.
"""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from debias.metrics.frequency import critical_band
from debias.metrics.frequency.band_accuracy import BandPassAccuracy, CriticalBand
from debias.metrics.frequency.bands import (
    CUTOFFS,
    curve_area,
    filtered,
    half_accuracy_cutoff,
    high_pass,
    low_pass,
    radial_window,
    square_window,
)
from debias.metrics.frequency.critical_band import (
    band_noise,
    channel_scalars,
    fit_channel,
    low_contrast,
    noise_thresholds,
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


def test_reference_radial_window():
    case = golden("radial_mask_hfc")
    size = case["inputs"]["size"]
    for radius, expected in case["expected"].items():
        assert radial_window(size, size, radius=float(radius)).double().tolist() == expected


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
    # r = 4 holds 3 cycles, not 6; its complement the other way round
    window = radial_window(16, 16, radius=4)
    assert torch.allclose(filtered(wave(16, 3), window), wave(16, 3))
    assert torch.allclose(filtered(high, window), flat)
    assert torch.allclose(filtered(wave(16, 3), ~window), flat * 0, atol=1e-12)


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
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_band_pass_metric_agrees_with_a_loop_under_any_batching(seed, size):
    generator = torch.Generator().manual_seed(seed)
    cutoffs = (0.1, 0.5, 0.9)
    rows = torch.randint(0, 4, (30, 2), generator=generator)
    at = torch.randint(0, 4, (30,), generator=generator)
    metric = BandPassAccuracy(cutoffs)
    for part in torch.arange(30).split(size):
        for place, cutoff in enumerate((*cutoffs, None)):
            chosen = part[at[part] == place]
            metric.update(rows[chosen, 0], rows[chosen, 1], cutoff)
    found = {name: value.item() for name, value in metric.compute().items()}
    answers = [
        [int(a == b) for (a, b), p in zip(rows.tolist(), at.tolist(), strict=True) if p == k]
        for k in range(4)
    ]
    values = [sum(part) / len(part) if part else nan for part in answers]
    keys = ("accuracy/0.1", "accuracy/0.5", "accuracy/0.9", "accuracy/clean")
    assert [found[key] for key in keys] == pytest.approx(values, nan_ok=True)
    assert found["area"] == pytest.approx(
        (values[0] / 2 + values[1] + values[2] / 2) / 2, nan_ok=True
    )


def test_cutoffs_are_those_declared():
    with pytest.raises(ValueError, match=r"cutoff 0.15 is none of"):
        BandPassAccuracy().update(torch.tensor([0]), torch.tensor([0]), 0.15)
    metric = BandPassAccuracy()
    metric.update(torch.tensor([0]), torch.tensor([0]), 0.5)
    assert list(metric.compute())[: len(CUTOFFS)] == [f"accuracy/{cutoff}" for cutoff in CUTOFFS]


# --- the critical band ---


@pytest.mark.parametrize("kind", ["broad", "narrow"])
def test_reference_channel(kind):
    case = golden("critical_band_channel")
    expected, tolerance = case["expected"][kind], case["tolerance"]
    accuracies = doubles(case["inputs"][kind])
    thresholds = noise_thresholds(accuracies, criterion=50)
    assert thresholds.tolist() == expected["thresholds"]
    amplitude, centre, width = expected["gaussian"]
    found = [value.item() for value in fit_channel(thresholds)]
    assert found == pytest.approx([amplitude, centre, abs(width)], abs=tolerance["gaussian"])
    scalars = channel_scalars(accuracies / 100)
    for name, key in (
        ("bandwidth", "bandwidth_octaves"),
        ("centre_frequency", "center_frequency_cpi"),
        ("peak_noise_sensitivity", "peak_noise_sensitivity"),
    ):
        assert scalars[name].item() == pytest.approx(expected[key], abs=tolerance[key])
    assert set(scalars) == set(critical_band.DESCRIPTIONS)


def test_worked_thresholds():
    """From the strongest noise up: none fails; two fail; all but the clean; all; the strongest does
    not, the rest does; exactly half is a failure; one cell is unknown.
    """
    columns = [
        [0.9, 0.9, 0.9, 0.9, 0.9],
        [0.9, 0.9, 0.9, 0.4, 0.3],
        [0.9, 0.1, 0.1, 0.1, 0.1],
        [0.1, 0.1, 0.1, 0.1, 0.1],
        [0.1, 0.1, 0.1, 0.1, 0.9],
        [0.9, 0.9, 0.9, 0.9, 0.5],
        [0.9, 0.9, nan, 0.4, 0.3],
    ]
    found = noise_thresholds(doubles(columns).T)
    assert found.tolist() == pytest.approx([0, 2, 4, 4, 0, 1, nan], nan_ok=True)


def test_a_gaussian_is_found_again():
    """Thresholds that are one: A = 3, mu = 2.5, s = 1.2, or one band less; s is never negative."""
    places = torch.arange(7, dtype=torch.float64)
    thresholds = 3 * torch.exp(-((places - 2.5) ** 2) / (2 * 1.2**2))
    for left_out in (None, 3):
        if left_out is not None:
            thresholds[left_out] = nan
        assert [value.item() for value in fit_channel(thresholds)] == pytest.approx(
            [3, 2.5, 1.2], abs=1e-5
        )


def test_no_disturbed_band_or_too_few_leave_the_channel_undefined():
    for thresholds in ([0.0] * 7, [nan] * 5 + [1.0, 2.0]):
        assert all(value.isnan() for value in fit_channel(doubles(thresholds)))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40))
def test_critical_band_metric_is_read_from_accuracies(seed, size):
    """Twenty images in each of 5 x 7 cells, in any batches and order."""
    generator = torch.Generator().manual_seed(seed)
    metric = CriticalBand()
    prediction = torch.randint(0, 2, (5, 7, 20), generator=generator)
    target = torch.ones(20, dtype=torch.long)
    for cell in torch.randperm(35, generator=generator).tolist():
        for rows in torch.arange(20).split(size):
            noise, band = divmod(cell, 7)
            metric.update(
                prediction[noise, band, rows], target[rows], metric.deviations[noise], band
            )
    expected = channel_scalars(prediction.double().mean(dim=2))
    found = metric.compute()
    assert {name: value.item() for name, value in found.items()} == {
        name: pytest.approx(value.item(), nan_ok=True) for name, value in expected.items()
    }


def test_noise_that_was_not_declared_is_refused():
    for deviation, band in ((0.03, 0), (0.02, 7)):
        with pytest.raises(ValueError, match=f"noise {deviation} in band {band} is not among"):
            CriticalBand().update(torch.tensor([0]), torch.tensor([0]), deviation, band)


@pytest.mark.parametrize("band", [0, 2, 4])
def test_noise_lies_in_its_octave_and_has_its_deviation(band):
    """64 x 64 grey images: nothing outside [c / sqrt 2, c sqrt 2) cycles, exact deviation."""
    images = torch.full((2, 3, 64, 64), 0.5)
    noise = (
        band_noise(images, band=band, deviation=0.05, generator=torch.Generator().manual_seed(0))
        - images
    )
    assert noise.square().mean(dim=(2, 3)).sqrt().flatten().tolist() == pytest.approx(
        [0.05] * 6, rel=1e-4
    )
    assert torch.equal(noise[:, 0], noise[:, 2])
    assert not torch.allclose(noise[0], noise[1])
    power = torch.fft.fft2(noise[0, 0].double()).abs()
    cycles = torch.fft.fftfreq(64, d=1 / 64, dtype=torch.float64)
    centre, distance = 1.75 * 2**band, (cycles[:, None] ** 2 + cycles**2).sqrt()
    outside = (distance < centre / math.sqrt(2)) | (distance >= centre * math.sqrt(2))
    assert power[outside].max() < 1e-3 * power[~outside].max()


def test_noisy_images_stay_images_and_small_ones_lack_high_bands():
    images = torch.zeros(1, 1, 32, 32)
    noisy = band_noise(images, band=1, deviation=0.5, generator=torch.Generator().manual_seed(0))
    assert (noisy.min().item(), noisy.max().item() <= 1) == (0.0, True)
    assert torch.equal(
        band_noise(images + 0.5, band=1, deviation=0.0, generator=torch.Generator()), images + 0.5
    )
    with pytest.raises(ValueError, match="32 x 32 images hold no frequency of band 6"):
        band_noise(images, band=6, deviation=0.1, generator=torch.Generator())


def test_low_contrast_is_grey_of_one_mean():
    """Grey weights add to 1: grey of 0 and 1 becomes .449 -+ .1, and red of 1 counts .299."""
    image = torch.tensor([0.0, 1.0]).expand(1, 3, 2, 2)
    assert low_contrast(image).flatten().tolist() == pytest.approx([0.349, 0.549] * 2, abs=1e-6)
    red = torch.zeros(1, 3, 1, 2)
    red[0, 0, 0, 1] = 1
    spread = low_contrast(red).flatten()
    assert (spread[1] - spread[0]).item() == pytest.approx(0.2 * 0.299, abs=1e-6)
