"""Augmentations that exchange amplitude and phase spectra: APR-P, APR-S and FDA."""

from collections.abc import Sequence

import torch
from torch import Tensor

from debias.augment.augmix_operations import HIGHEST, augmented
from debias.augment.partners import FolderReader, PartnerAugmentation
from debias.augment.pixels import PixelAugmentation
from debias.errors import check_between


def with_amplitude(phase: Tensor, amplitude: Tensor, *, dim: Sequence[int] = (1, 2, 3)) -> Tensor:
    r"""The phase of one image with the amplitude of another.

    .. math:: \tilde x = F^{-1} \left( |F(x')| \, e^{i \arg F(x)} \right)

    The result has the mean and the norm of :math:`x'`. It may leave [0, 1].

    Args:
        phase: x, ``(N, 3, H, W)`` float.
        amplitude: x', of the same shape.
        dim: dimensions of the Fourier transform F.
    """
    own, other = (torch.fft.rfftn(image, dim=tuple(dim)) for image in (phase, amplitude))
    return _inverse(torch.polar(other.abs(), own.angle()), phase, dim)


def with_low_amplitude(image: Tensor, partner: Tensor, *, window: float) -> Tensor:
    r"""An image with the low-frequency amplitude of its partner, for each channel.

    The amplitude of the frequencies :math:`|u|, |v| \le \lfloor L \min(H, W) \rfloor` is replaced.
    These include frequency 0, so that each channel has the mean of the partner's.

    Args:
        image: ``(N, 3, H, W)`` float.
        partner: of the same shape.
        window: L, in [0, 0.5]. With 0.5 and a square image it is :func:`with_amplitude` of each
            channel. In other images, the highest frequencies of the longer side stay.
    """
    height, width = image.shape[2:]
    reach = int(min(height, width) * window)
    rows = torch.fft.fftfreq(height, 1 / height, device=image.device).abs().round() <= reach
    columns = torch.arange(width // 2 + 1, device=image.device) <= reach
    own, other = (torch.fft.rfft2(picture) for picture in (image, partner))
    amplitude = torch.where(rows[:, None] & columns, other.abs(), own.abs())
    return _inverse(torch.polar(amplitude, own.angle()), image, (2, 3))


def _inverse(spectrum: Tensor, image: Tensor, dim: Sequence[int]) -> Tensor:
    shape = [image.shape[axis] for axis in dim]
    pixels: Tensor = torch.fft.irfftn(spectrum, s=shape, dim=tuple(dim))
    return pixels


class AmplitudePhasePair(PartnerAugmentation):
    r"""Keep the phase of each image, and take the amplitude spectrum of its partner (APR-P).

    .. math:: \tilde x = F^{-1} \left( |F(x')| \, e^{i \arg F(x)} \right)

    The phase has the shapes of an image, and the amplitude much of its colour and texture. The
    result may leave [0, 1].

    Source: Chen et al., "Amplitude-Phase Recombination: Rethinking Robustness of Convolutional
    Neural Networks in Frequency Domain", ICCV 2021; reference code iCGY96/APR.

    Args:
        mean: mean of each of the three channels, in [0, 1], from the normalisation of the images.
        std: standard deviation of each channel, positive, from the same normalisation.
        read_folder: reads the pictures below a folder.
        partner: "batch", or the path of a folder of pictures.
        probability: probability of changing an image, in [0, 1].
        per_channel: whether F is the two-dimensional transform of each channel. By default F is
            the three-dimensional transform over channels, height and width.

    Raises:
        ValueError: ``probability`` is outside [0, 1], or the folder has no picture.

    Differs from the reference: it changes a batch with probability 0.6, and then adds the losses of
    the plain and of the changed images. Here 0.3 of the images are changed, which gives half of the
    same expected loss.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        read_folder: FolderReader,
        *,
        partner: str = "batch",
        probability: float = 0.3,
        per_channel: bool = False,
    ) -> None:
        super().__init__(mean, std, read_folder, partner=partner, probability=probability)
        self.dim = (2, 3) if per_channel else (1, 2, 3)

    def mixed(self, pixels: Tensor, partner: Tensor) -> Tensor:
        """The phase of the images with the amplitude of the partners."""
        return with_amplitude(pixels, partner, dim=self.dim)


class AmplitudePhaseSingle(PixelAugmentation):
    r"""Change each image at random, and exchange its amplitude with a second change (APR-S).

    A random operation changes each image to x. With probability 1/2, a second operation changes x
    to :math:`x'`. The result then has the phase of one of them and the amplitude of the other, with
    equal probability. It is cut to [0, 1]. Use ``augment.then.name=apr_p`` for both parts of APR.

    Source: Chen et al., "Amplitude-Phase Recombination: Rethinking Robustness of Convolutional
    Neural Networks in Frequency Domain", ICCV 2021; reference code iCGY96/APR.

    Args:
        mean: mean of each of the three channels, in [0, 1], from the normalisation of the images.
        std: standard deviation of each channel, positive, from the same normalisation.
        severity: greatest strength of an operation, in [0.1, 10], see
            :func:`debias.augment.augmix_operations.augmented`.

    Raises:
        ValueError: ``severity`` is out of range.

    Differs from the reference: the reference converts values outside 0 to 255 to bytes without
    cutting them, so that they wrap around. The operations work on tensors.
    """

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], *, severity: float = 3.0
    ) -> None:
        super().__init__(mean, std)
        check_between(f"[0.1, {HIGHEST}]", {"severity": severity}, of="APR-S")
        self.severity = severity

    def changed(self, pixels: Tensor) -> Tensor:
        """Apply operations, and exchange amplitudes."""
        first = augmented(pixels, severity=self.severity)
        rows = (torch.rand(len(first)) < 0.5).nonzero().flatten().to(first.device)
        if len(rows):
            own = first[rows]
            second = augmented(own, severity=self.severity)
            swap = (torch.rand(len(own)) < 0.5).to(own.device)[:, None, None, None]
            phase, amplitude = torch.where(swap, second, own), torch.where(swap, own, second)
            first[rows] = with_amplitude(phase, amplitude)
        return first.clamp_(0, 1)


class FourierDomainAdaptation(PartnerAugmentation):
    r"""Take the low-frequency amplitudes of a partner (FDA), which hold its colours and its light.

    The frequencies :math:`|u|, |v| \le \lfloor L \min(H, W) \rfloor` of each channel get the
    amplitude of the partner. All phases stay. The result may leave [0, 1].

    Source: Yang and Soatto, "FDA: Fourier Domain Adaptation for Semantic Segmentation", CVPR 2020;
    reference code YanchaoYang/FDA.

    Args:
        mean: mean of each of the three channels, in [0, 1], from the normalisation of the images.
        std: standard deviation of each channel, positive, from the same normalisation.
        read_folder: reads the pictures below a folder.
        partner: "batch", or the path of a folder of pictures.
        probability: probability of changing an image, in [0, 1].
        window: L, half the side of the window as a share of the shorter side, in [0, 0.5]. The
            authors use 0.01, 0.05 and 0.09. Below one pixel, only the mean of each channel changes.

    Raises:
        ValueError: ``probability`` or ``window`` is out of range, or the folder has no picture.

    Differs from the reference: this is its NumPy version, whose window is symmetric. Its PyTorch
    version has no frequency +b, so that its result is not exactly real. The authors adapt all
    images of a source domain to a target domain. Here the partner may also come from the batch.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        read_folder: FolderReader,
        *,
        partner: str = "batch",
        probability: float = 1.0,
        window: float = 0.01,
    ) -> None:
        super().__init__(mean, std, read_folder, partner=partner, probability=probability)
        check_between("[0, 0.5]", {"window": window}, of="FDA")
        self.window = window

    def mixed(self, pixels: Tensor, partner: Tensor) -> Tensor:
        """The images with the low-frequency amplitude of the partners."""
        return with_low_amplitude(pixels, partner, window=self.window)
