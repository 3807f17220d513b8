"""Base class of augmentations that are functions of pixels in [0, 1]."""

from collections.abc import Sequence

from torch import Tensor

from debias.augment.augmentation import Augmentation
from debias.pixels import PixelSpace
from debias.types import Batch, Groups


class PixelAugmentation(Augmentation):
    """Base class of augmentations that change the pixels of a batch, which lie in [0, 1].

    A subclass overrides :meth:`changed`. The targets, masks and backgrounds of the batch stay.

    Args:
        mean: mean of each of the three channels, in [0, 1], from the normalisation of the images.
        std: standard deviation of each channel, positive, from the same normalisation.
        groups: the groups of the data, if the augmentation reads them.
    """

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], groups: Groups | None = None
    ) -> None:
        super().__init__(groups)
        self.space = PixelSpace(mean, std)

    def changed(self, pixels: Tensor) -> Tensor:
        """Return changed pixels. Random numbers come from torch's global generators.

        Args:
            pixels: ``(N, 3, H, W)`` float in [0, 1]. The tensor is new, and may be overwritten.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define changed")

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        """Return the batch with changed, normalised images.

        Args:
            batch: a batch of normalised images, which is not modified.
            progress: has no effect.
        """
        return batch._replace(image=self.space.through(batch.image, self.changed))
