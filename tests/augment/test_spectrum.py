"""Spectra: definitions by NumPy, means and norms that change places, and what is refused."""

import numpy as np
import pytest
import torch

from debias.augment.spectrum import (
    AmplitudePhasePair,
    AmplitudePhaseSingle,
    FourierDomainAdaptation,
    with_amplitude,
    with_low_amplitude,
)
from debias.types import Batch

MEAN, STD = (0.5, 0.25, 0.125), (0.25, 0.5, 1.0)
GENERATOR = torch.Generator().manual_seed(0)
FIRST, SECOND = torch.rand(2, 3, 3, 8, 7, generator=GENERATOR, dtype=torch.float64)


@pytest.mark.parametrize("dim", [(1, 2, 3), (2, 3)])
def test_amplitude_and_phase_are_those_of_the_full_transform(dim):
    spectra = [np.fft.fftn(image.numpy(), axes=dim) for image in (FIRST, SECOND)]
    mixed = np.fft.ifftn(np.abs(spectra[1]) * np.exp(1j * np.angle(spectra[0])), axes=dim)
    assert np.abs(mixed.imag).max() < 1e-14
    torch.testing.assert_close(with_amplitude(FIRST, SECOND, dim=dim), torch.tensor(mixed.real))


def test_the_result_has_the_mean_and_the_norm_of_the_amplitude():
    """Amplitude 0 is the sum of positive pixels, and Parseval gives the norm."""
    mixed = with_amplitude(FIRST, SECOND)
    torch.testing.assert_close(mixed.mean(dim=(1, 2, 3)), SECOND.mean(dim=(1, 2, 3)))
    torch.testing.assert_close(mixed.flatten(1).norm(dim=1), SECOND.flatten(1).norm(dim=1))
    torch.testing.assert_close(with_amplitude(FIRST, FIRST), FIRST)


def test_a_window_of_zero_changes_the_mean_of_each_channel_alone():
    mixed = with_low_amplitude(FIRST, SECOND, window=0.1)  # less than one of 7 pixels
    shift = (SECOND - FIRST).mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(mixed, FIRST + shift)


def test_a_window_changes_its_frequencies_and_no_others():
    """7 * 0.3 is 2.1, so that |u| and |v| up to 2 change."""
    mixed = with_low_amplitude(FIRST, SECOND, window=0.3)
    rows, columns = (np.abs(np.fft.fftfreq(side, 1 / side)) <= 2.5 for side in (8, 7))
    inside = torch.tensor(rows[:, None] & columns)
    spectra = [torch.fft.fft2(image) for image in (mixed, FIRST, SECOND)]
    amplitude = torch.where(inside, spectra[2].abs(), spectra[1].abs())
    torch.testing.assert_close(spectra[0].abs(), amplitude)
    torch.testing.assert_close(spectra[0], torch.polar(amplitude, spectra[1].angle()))
    whole = with_low_amplitude(FIRST, SECOND, window=0.5)
    # the frequency 8 / 2 of the rows lies outside 7 * 0.5
    assert not torch.allclose(whole, with_amplitude(FIRST, SECOND, dim=(2, 3)))
    square = with_low_amplitude(FIRST[..., :7, :], SECOND[..., :7, :], window=0.5)
    expected = with_amplitude(FIRST[..., :7, :], SECOND[..., :7, :], dim=(2, 3))
    torch.testing.assert_close(square, expected)


@pytest.mark.parametrize(
    ("method", "function"),
    [
        (
            FourierDomainAdaptation(MEAN, STD, torch.zeros, window=0.3),
            lambda x, y: with_low_amplitude(x, y, window=0.3),
        ),
        (AmplitudePhasePair(MEAN, STD, torch.zeros, probability=1.0), with_amplitude),
    ],
)
def test_augmentations_mix_with_the_partner_in_pixels(method, function):
    number, pixels = torch.arange(3), FIRST.float()
    batch = Batch(method.space.normalised(pixels), number, number, number)
    torch.manual_seed(1)
    torch.rand(3)
    partner = pixels[torch.randperm(3)]
    assert not torch.equal(partner, pixels)
    torch.manual_seed(1)
    mixed = method(batch).image
    torch.testing.assert_close(mixed, method.space.normalised(function(pixels, partner)))


def test_apr_s_stays_in_range_and_mixes_each_image_with_itself_alone():
    pixels = torch.rand(32, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    single = AmplitudePhaseSingle(MEAN, STD)
    torch.manual_seed(0)
    together = single.changed(pixels.clone())
    assert float(together.min()) >= 0
    assert float(together.max()) <= 1
    assert not any(map(torch.equal, together, pixels))
    torch.manual_seed(0)
    alone = single.changed(torch.cat([pixels[:16], torch.zeros(16, 3, 6, 6)]))
    torch.testing.assert_close(together[:16], alone[:16])


def test_refuses():
    with pytest.raises(ValueError, match=r"window must lie in \[0, 0\.5\]"):
        FourierDomainAdaptation(MEAN, STD, torch.zeros, window=0.6)
    with pytest.raises(ValueError, match=r"severity must lie in \[0\.1, 10\]"):
        AmplitudePhaseSingle(MEAN, STD, severity=11.0)
