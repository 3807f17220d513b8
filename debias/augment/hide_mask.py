"""Hiding: what a mask marks is taken out, so that the model has to look elsewhere."""

from collections.abc import Sequence

import torch
from torch import Tensor

from debias.augment.augmentation import Augmentation
from debias.errors import InputError, check_one_of
from debias.types import Batch

FILLS = ("black", "mean")


class HideMask(Augmentation):
    r"""Replace the pixels under the mask by one colour.

    .. math:: x' = (1 - m) \, x + m \, c

    With masks of the foreground the background is left; with masks of what an earlier model looked
    at (:class:`debias.recipes.masktune.MaskTune`), what it did not.

    Args:
        mean: of each of the three channels, in [0, 1]: with ``std``, the normalisation that images
            went through.
        std: of each channel, positive.
        fill: c: "black", or "mean", the normalisation's mean, which the model reads as 0.

    Raises:
        ValueError: an unknown fill.
    """

    requires = ("mask",)
    colour: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], *, fill: str = "black") -> None:
        super().__init__()
        check_one_of(FILLS, {"fill": fill}, of="HideMask")
        black = -torch.tensor(mean) / torch.tensor(std)
        colour = black if fill == "black" else torch.zeros_like(black)
        # follows from the options, so checkpoints need not hold it
        self.register_buffer("colour", colour.view(-1, 1, 1), persistent=False)

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        """The batch with new images; its mask stays.

        Args:
            batch: with ``mask``; left as it is.
            progress: share of the training that is done, in [0, 1]; of no influence.

        Raises:
            ValueError: the batch has no mask.
        """
        if batch.mask is None:
            raise InputError(
                "hide_mask hides what masks mark, and this batch has none: give the data set masks"
            )
        return batch._replace(image=torch.lerp(batch.image, self.colour, batch.mask))
