"""Hiding of masked pixels, so that the model has to use the others."""

from collections.abc import Sequence

import torch
from torch import Tensor

from debias.augment.augmentation import Augmentation
from debias.errors import InputError, check_one_of
from debias.pixels import PixelSpace
from debias.types import Batch

FILLS = ("black", "mean")


class HideMask(Augmentation):
    r"""Replace the pixels under the mask by one colour.

    .. math:: x' = (1 - m) \, x + m \, c

    Foreground masks hide the foreground. The masks of
    :class:`debias.recipes.masktune.MaskTune` hide the pixels that an earlier model attended to.

    Args:
        mean: mean of each of the three channels, in [0, 1], from the normalisation of the images.
        std: standard deviation of each channel, positive, from the same normalisation.
        fill: the colour c: "black", or "mean", the mean of the normalisation. The mean is 0 in the
            normalised image.

    Raises:
        ValueError: ``fill`` is neither "black" nor "mean".
    """

    requires = ("mask",)
    colour: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], *, fill: str = "black") -> None:
        super().__init__()
        check_one_of(FILLS, {"fill": fill}, of="HideMask")
        black = PixelSpace(mean, std).normalised(torch.zeros(3, 1, 1))
        colour = black if fill == "black" else torch.zeros_like(black)
        # computed from the options, so checkpoints need not contain it
        self.register_buffer("colour", colour, persistent=False)

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        """Return the batch with the masked pixels replaced. Its mask stays the same.

        Args:
            batch: a batch with ``mask``, which is not modified.
            progress: has no effect.

        Raises:
            ValueError: the batch has no mask.
        """
        if batch.mask is None:
            raise InputError(
                "hide_mask needs a mask for each image; this batch has none. Give the data set "
                "masks"
            )
        return batch._replace(image=torch.lerp(batch.image, self.colour, batch.mask))
