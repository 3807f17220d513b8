"""Networks with a small receptive field, which can use colours and textures but not shapes."""

from collections.abc import Callable
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from debias.errors import InputError

HALF = (0.5, 0.5, 0.5)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class SmallReceptiveNet(nn.Module):
    """Convolutions, global average pooling and a linear layer, in the form of a timm network.

    Use ``Classifier`` to get ``Outputs`` from it.

    Args:
        body: maps ``(N, 3, H, W)`` images to ``(N, D, h, w)`` maps.
        features: D.
        outputs: number of logits.
        mean: mean of each channel for the normalisation of images.
        std: standard deviation of each channel for the normalisation of images.
    """

    def __init__(
        self,
        body: nn.Sequential,
        features: int,
        outputs: int,
        *,
        mean: tuple[float, ...] = HALF,
        std: tuple[float, ...] = HALF,
    ) -> None:
        super().__init__()
        self.body = body
        self.fc = nn.Linear(features, outputs)
        # Classifier and Grad-CAM read these attributes of timm's networks
        self.feature_info = [{"module": "body"}]
        self.pretrained_cfg = {"classifier": "fc", "num_classes": outputs, "mean": mean, "std": std}
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def get_classifier(self) -> nn.Module:
        """The last layer. Networks of timm have a method of this name."""
        return self.fc

    def forward(self, image: Tensor) -> Tensor:
        """Compute ``(N, outputs)`` logits of ``(N, 3, H, W)`` images."""
        logits: Tensor = self.fc(self.body(image).mean(dim=(2, 3)))
        return logits


def simple_conv_net(outputs: int, *, kernel: int = 7, cell: int = 1) -> SmallReceptiveNet:
    """Four convolutions of 16, 32, 64 and 128 channels, each with batch normalisation and ReLU.

    The receptive field of a feature is ``cell * (4 * (kernel - 1) + 1)`` pixels wide. It is 1 pixel
    with kernel 1, so that only colours are visible, and 25 pixels with kernel 7. Use cells for
    large pictures, where the network is slow because it has no strides.

    Source: Bahng et al., "Learning De-biased Representations with Biased Representations", ICML
    2020, for Biased-MNIST; reference code clovaai/rebias.

    Args:
        outputs: number of logits.
        kernel: side of every kernel, odd. Maps are padded by half of it.
        cell: side in pixels of the square cells over which the input is averaged first.

    Raises:
        ValueError: ``kernel`` is even or below 1.

    Differs from the reference: the reference has no cells.
    """
    if kernel < 1 or kernel % 2 == 0:
        raise InputError(f"kernel must be odd, so that maps keep their size; got kernel={kernel}")
    channels = (3, 16, 32, 64, 128)
    layers: list[nn.Module] = [] if cell == 1 else [nn.AvgPool2d(cell)]
    for before, after in pairwise(channels):
        layers += [
            nn.Conv2d(before, after, kernel, padding=kernel // 2),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        ]
    return SmallReceptiveNet(nn.Sequential(*layers), channels[-1], outputs)


class UnpaddedBlock(nn.Module):
    """A residual block of two convolutions without padding. The second has kernel 1.

    Args:
        before: number of input channels.
        after: number of output channels.
        kernel: side of the first kernel.
        stride: stride of the first convolution and of the shortcut.
    """

    def __init__(self, before: int, after: int, *, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, kernel, stride=stride, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or before != after:
            convolution = nn.Conv2d(before, after, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(after))

    def forward(self, maps: Tensor) -> Tensor:
        """Compute maps without padding. The shortcut is cropped right and below to their size."""
        residual: Tensor = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(maps)))))
        height, width = residual.shape[2:]
        return F.relu(residual + self.shortcut(maps)[:, :, :height, :width])


def bagnet18(outputs: int) -> SmallReceptiveNet:
    """BagNet-18: ResNet-18 with kernel 3 only in the stem and the first block, without padding.

    The receptive field of a feature is 5 pixels wide. There are two blocks each of 64, 128, 256 and
    512 channels, with strides 2, 2, 2, 1.

    Source: Bahng et al., ICML 2020, for the 9-class ImageNet (kernel-3 pattern 1, 0, 0, 0), after
    Brendel and Bethge, "Approximating CNNs with Bag-of-local-Features Models Works Surprisingly
    Well on ImageNet", ICLR 2019.

    Args:
        outputs: number of logits.

    Differs from the reference: the stem's batch normalisation has the same momentum as all others
    (0.1, there 0.001). With 0.001, its averages would not have settled after a short training.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(3, 64, 1, bias=False),
        nn.Conv2d(64, 64, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
    ]
    before = 64
    for after, stride, kernel in ((64, 2, 3), (128, 2, 1), (256, 2, 1), (512, 1, 1)):
        layers += [
            UnpaddedBlock(before, after, kernel=kernel, stride=stride),
            UnpaddedBlock(after, after),
        ]
        before = after
    return SmallReceptiveNet(
        nn.Sequential(*layers), before, outputs, mean=IMAGENET_MEAN, std=IMAGENET_STD
    )


NETWORKS: dict[str, Callable[[int], SmallReceptiveNet]] = {
    "simple_conv_k1": lambda outputs: simple_conv_net(outputs, kernel=1),
    "simple_conv_k7": lambda outputs: simple_conv_net(outputs, kernel=7),
    "simple_conv_k1_cell4": lambda outputs: simple_conv_net(outputs, kernel=1, cell=4),
    "bagnet18": bagnet18,
}
