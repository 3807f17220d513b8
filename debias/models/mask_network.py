"""A U-Net that looks at a picture and says how much of each pixel to let through."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.errors import InputError, check_at_least


class MaskNetwork(nn.Module):
    """Masks ``(N, 1, H, W)`` in (0, 1) for images ``(N, 3, H, W)``; close to 1 before training.

    Convolutions of stride 2 on the way down; on the way up bilinear enlargement and 3x3
    convolutions, which also read the map of the same size from the way down.

    Source: Wang et al., "Balanced Datasets Are Not Enough", ICCV 2019; the network is that of
    Ronneberger et al., "U-Net", MICCAI 2015.

    Args:
        width: channels of the first map; each following one has twice as many.
        depth: how often the picture is halved; its sides must be at least ``2 ** depth``.

    Raises:
        ValueError: a size is out of range.

    Differs from the reference: the last bias starts at 3 (a mask of 0.95), there near it at random;
    sides need not divide by ``2 ** depth``; on the way up 3x3 kernels and leaky ReLU (there 4x4 and
    ReLU), and batch normalisation on every map (there not on the first and the deepest).
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
        # from the deepest on, every map but the deepest itself comes with the one from the way down
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
        """Mask of each image.

        Raises:
            ValueError: the images are too small.
        """
        if min(image.shape[-2:]) < self.smallest:
            raise InputError(
                f"a mask network wants sides of {self.smallest} pixels; got "
                f"{tuple(image.shape[-2:])}"
            )
        maps = [image]
        for down in self.down:
            maps.append(down(maps[-1]))
        deepest = maps.pop()
        for up, beside in zip(self.up, maps[:0:-1], strict=True):
            deepest = torch.cat([up(_enlarged(deepest, beside)), beside], dim=1)
        # at least float32: bfloat16 knows nothing between 0.996 and 1, where a mask would never be
        # moved again
        logits: Tensor = self.last(_enlarged(deepest, image))
        return torch.sigmoid(logits.to(torch.promote_types(logits.dtype, torch.float32)))


def _enlarged(maps: Tensor, beside: Tensor) -> Tensor:
    return F.interpolate(maps, size=beside.shape[-2:], mode="bilinear", align_corners=False)
