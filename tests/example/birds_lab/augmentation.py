"""An augmentation of one's own."""

import torch
from torch import Tensor

from debias.augment.augmentation import Augmentation
from debias.types import Batch


class Dim(Augmentation):
    """Multiply each image by a random brightness."""

    def __init__(self, *, darkest: float = 0.5) -> None:
        super().__init__()
        self.darkest = darkest

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        draws = torch.rand(len(batch.target), 1, 1, 1, device=batch.image.device)
        return batch._replace(image=batch.image * (self.darkest + (1 - self.darkest) * draws))


class Chosen(Augmentation):
    """Change the images that an earlier model chose; it needs inferred groups."""

    def __init__(self, chosen: Tensor) -> None:
        super().__init__()
        self.register_buffer("chosen", chosen)
