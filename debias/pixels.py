"""The space of pixels in [0, 1], and the normalised images that networks read."""

from collections.abc import Callable, Sequence
from hashlib import sha256

import torch
from torch import Tensor, nn


class PixelSpace(nn.Module):
    r"""Convert normalised images to pixels in [0, 1], and pixels to normalised images.

    .. math:: p = \mathrm{clip}(x \sigma + \mu, 0, 1), \qquad x = (p - \mu) / \sigma

    Args:
        mean: mean :math:`\mu` of each of the three channels, in [0, 1], from the normalisation of
            the images.
        std: standard deviation :math:`\sigma` of each channel, positive, from the same
            normalisation. A difference d of pixels is a difference d / std of normalised images.

    Example:
        >>> space = PixelSpace((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
        >>> space.pixels(torch.tensor([-2.0, 0.0, 9.0]).expand(1, 3, 1, 3))[0, 0, 0].tolist()
        [0.0, 0.5, 1.0]
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        # facts of the model, so checkpoints need not contain them
        for name, values in (("mean", mean), ("std", std)):
            channels = torch.tensor(values, dtype=torch.get_default_dtype()).view(3, 1, 1)
            self.register_buffer(name, channels, persistent=False)

    def pixels(self, image: Tensor) -> Tensor:
        """The pixels in [0, 1] of ``(..., 3, H, W)`` normalised images. Values outside are cut."""
        return torch.addcmul(self.mean, image, self.std).clamp_(0, 1)

    def normalised(self, pixels: Tensor) -> Tensor:
        """The normalised images of ``(..., 3, H, W)`` pixels, which may lie outside [0, 1]."""
        return (pixels - self.mean) / self.std

    def through(self, image: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply a function of pixels in [0, 1] to ``(..., 3, H, W)`` normalised images.

        Rounding changes an image slightly, even if the function returns its argument.
        """
        return self.normalised(function(self.pixels(image)))


def pictures_digest(pictures: Tensor) -> Tensor:
    """``(32,)`` uint8 SHA-256 of pictures ``(M, 3, H, W)`` uint8, on the CPU.

    In the state of a module, it tells runs apart that read other pictures below the same path.
    """
    digest = sha256(pictures.contiguous().numpy(force=True).data).digest()
    return torch.tensor(list(digest), dtype=torch.uint8)
