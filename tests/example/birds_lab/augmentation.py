"""An augmentation of one's own."""

import torch

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
