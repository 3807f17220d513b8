"""A U-Net that predicts a soft mask of an image."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.errors import InputError, check_at_least


class MaskNetwork(nn.Module):
    """A U-Net from images ``(N, 3, H, W)`` to masks ``(N, 1, H, W)`` in (0, 1).

    The masks are close to 1 before training. The encoder has convolutions of stride 2. The decoder
    has bilinear enlargement and 3x3 convolutions, which also read the encoder's map of this size.

    Source: Wang et al., "Balanced Datasets Are Not Enough", ICCV 2019; the network is that of
    Ronneberger et al., "U-Net", MICCAI 2015.

    Args:
        width: channels of the first map, at least 1. Each next map has twice as many.
        depth: number of times that the picture is halved, at least 2. Its sides must have at least
            ``2 ** depth`` pixels.

    Raises:
        ValueError: ``width`` is below 1, or ``depth`` is below 2.

    Differs from the reference: the last bias starts at 3 (a mask of 0.95); there it is random near
    3. Sides need not be divisible by ``2 ** depth``. The decoder has 3x3 kernels and leaky ReLU
    (there 4x4 and ReLU). Every map has batch normalisation (there not the first and the deepest).
    """

    def __init__(self, *, width: int = 64, depth: int = 4) -> None:
        super().__init__()
        check_at_least(1, {"width": width}, of="a mask network")
        check_at_least(2, {"depth": depth}, of="a mask network")
        self.smallest = 2**depth
        widths = [width * 2**level for level in range(depth)]
        self.down = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inputs, outputs, 4, stride=2, padding=1),
                nn.BatchNorm2d(outputs),
                nn.LeakyReLU(0.2),
            )
            for inputs, outputs in zip([3, *widths], widths, strict=False)
        )
        # input channels, from the deepest map on: all but the deepest are joined with encoder maps
        above = [widths[-1], *(2 * size for size in widths[-2:0:-1])]
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.ReflectionPad2d(1),
                nn.Conv2d(inputs, outputs, 3),
                nn.BatchNorm2d(outputs),
                nn.LeakyReLU(0.2),
            )
            for inputs, outputs in zip(above, widths[-2::-1], strict=True)
        )
        last = nn.Conv2d(2 * width, 1, 3)
        nn.init.constant_(last.bias, 3.0)  # type: ignore[arg-type]
        self.last = nn.Sequential(nn.ReflectionPad2d(1), last)

    def forward(self, image: Tensor) -> Tensor:
        """Compute masks ``(N, 1, H, W)`` of images ``(N, 3, H, W)``.

        Raises:
            ValueError: a side of the images is below ``2 ** depth`` pixels.
        """
        if min(image.shape[-2:]) < self.smallest:
            raise InputError(
                f"a mask network needs images with sides of at least {self.smallest} pixels; got "
                f"{tuple(image.shape[-2:])}. Set a larger preprocessing.size"
            )
        maps = [image]
        for down in self.down:
            maps.append(down(maps[-1]))
        deepest = maps.pop()
        for up, beside in zip(self.up, maps[:0:-1], strict=True):
            deepest = torch.cat([up(_enlarged(deepest, beside)), beside], dim=1)
        # at least float32: bfloat16 has no value between 0.996 and 1, and a mask of 1 has no
        # gradient
        logits: Tensor = self.last(_enlarged(deepest, image))
        return torch.sigmoid(logits.to(torch.promote_types(logits.dtype, torch.float32)))


def _enlarged(maps: Tensor, beside: Tensor) -> Tensor:
    return F.interpolate(maps, size=beside.shape[-2:], mode="bilinear", align_corners=False)
