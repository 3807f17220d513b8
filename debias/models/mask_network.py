"""U-Nets: one predicts a soft mask of an image, one changes the image."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.errors import InputError, check_at_least


class UNet(nn.Module):
    """A U-Net from images ``(N, 3, H, W)`` to maps ``(N, C, H, W)`` of the same size.

    The encoder has convolutions of stride 2. The decoder has bilinear enlargement and 3x3
    convolutions, which also read the encoder's map of this size.

    Source: Ronneberger et al., "U-Net", MICCAI 2015.

    Args:
        outputs: channels C of the maps.
        width: channels of the first map, at least 1. Each next map has twice as many.
        depth: number of times that the picture is halved, at least 2. Its sides must have at least
            ``2 ** depth`` pixels.
        of: name of the network, for messages.

    Raises:
        ValueError: ``width`` is below 1, or ``depth`` is below 2.
    """

    def __init__(self, outputs: int, *, width: int, depth: int, of: str) -> None:
        super().__init__()
        check_at_least(1, {"width": width}, of=of)
        check_at_least(2, {"depth": depth}, of=of)
        self.smallest, self.of = 2**depth, of
        widths = [width * 2**level for level in range(depth)]
        self.down = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inputs, given, 4, stride=2, padding=1),
                nn.BatchNorm2d(given),
                nn.LeakyReLU(0.2),
            )
            for inputs, given in zip([3, *widths], widths, strict=False)
        )
        # input channels, from the deepest map on: all but the deepest are joined with encoder maps
        above = [widths[-1], *(2 * size for size in widths[-2:0:-1])]
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.ReflectionPad2d(1),
                nn.Conv2d(inputs, given, 3),
                nn.BatchNorm2d(given),
                nn.LeakyReLU(0.2),
            )
            for inputs, given in zip(above, widths[-2::-1], strict=True)
        )
        self.last = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(2 * width, outputs, 3))

    def forward(self, image: Tensor) -> Tensor:
        """Compute maps ``(N, C, H, W)`` of images ``(N, 3, H, W)``.

        Raises:
            ValueError: a side of the images is below ``2 ** depth`` pixels.
        """
        if min(image.shape[-2:]) < self.smallest:
            raise InputError(
                f"{self.of} needs images with sides of at least {self.smallest} pixels; got "
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
        found: Tensor = self.last(_enlarged(deepest, image))
        return found.to(torch.promote_types(found.dtype, torch.float32))


class MaskNetwork(UNet):
    """A :class:`UNet` from images ``(N, 3, H, W)`` to masks ``(N, 1, H, W)`` in (0, 1).

    The masks are close to 1 before training.

    Source: Wang et al., "Balanced Datasets Are Not Enough", ICCV 2019.

    Args:
        width: as for :class:`UNet`.
        depth: as there.

    Raises:
        ValueError: as there.

    Differs from the reference: the last bias starts at 3 (a mask of 0.95); there it is random near
    3. Sides need not be divisible by ``2 ** depth``. The decoder has 3x3 kernels and leaky ReLU
    (there 4x4 and ReLU). Every map has batch normalisation (there not the first and the deepest).
    """

    def __init__(self, *, width: int = 64, depth: int = 4) -> None:
        super().__init__(1, width=width, depth=depth, of="a mask network")
        nn.init.constant_(self.last[1].bias, 3.0)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:
        """Compute masks ``(N, 1, H, W)`` of images ``(N, 3, H, W)``.

        Raises:
            ValueError: a side of the images is below ``2 ** depth`` pixels.
        """
        return torch.sigmoid(super().forward(image))


class LensNetwork(UNet):
    """A :class:`UNet` that adds a change to images ``(N, 3, H, W)``. Before training it adds 0.

    Args:
        width: as for :class:`UNet`.
        depth: as there.

    Raises:
        ValueError: as there.
    """

    def __init__(self, *, width: int = 64, depth: int = 4) -> None:
        super().__init__(3, width=width, depth=depth, of="a lens")
        for parameter in self.last[1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, image: Tensor) -> Tensor:
        """The changed images ``(N, 3, H, W)``.

        Raises:
            ValueError: a side of the images is below ``2 ** depth`` pixels.
        """
        return image + super().forward(image)


def _enlarged(maps: Tensor, beside: Tensor) -> Tensor:
    return F.interpolate(maps, size=beside.shape[-2:], mode="bilinear", align_corners=False)
