"""Images beside the versions that a strategy gives to its model, to show what it masks."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torchvision.utils import make_grid

from debias.strategies.strategy import Strategy
from debias.training.loggers import log_picture, takes_pictures
from debias.training.module import DebiasModule

#: Images of a logged picture.
MOST = 8


@torch.no_grad()
def prepared_pictures(
    strategy: Strategy, image: Tensor, mean: Tensor, std: Tensor
) -> Tensor | None:
    """A grid with one row per image: the image, the share that is left, and the model's input.

    The share that is left of a pixel is the slope of the model's input on the image, over the
    channels. If the strategy multiplies images by a mask, the share is the mask.

    Args:
        strategy: the strategy; it is in evaluation mode during the call.
        image: ``(N, 3, H, W)`` normalised images.
        mean: ``(3,)`` mean of the normalisation.
        std: ``(3,)`` standard deviation of the normalisation.

    Returns:
        ``(3, H', W')`` float in [0, 1], on the CPU; ``None`` if the strategy does not change
        images.
    """
    was_training = strategy.training
    strategy.eval()
    prepared = strategy.prepare(image)
    strategy.train(was_training)
    if prepared is image:
        return None
    energy = image.square().sum(dim=1, keepdim=True).clamp(min=1e-12)
    left = (prepared * image).sum(dim=1, keepdim=True) / energy
    mean, std = mean.to(image).view(3, 1, 1), std.to(image).view(3, 1, 1)
    pixels = [picture * std + mean for picture in (image, prepared)]
    triples = torch.stack([pixels[0], left.expand_as(image), pixels[1]], dim=1).clamp(0, 1)
    grid: Tensor = make_grid(triples.flatten(0, 1).float().cpu(), nrow=3, pad_value=1.0)
    return grid


class PreparedPictures(pl.Callback):
    """Logs the first validation images, beside the strategy's versions of them.

    Nothing is logged if the strategy does not change images.

    Args:
        mean: ``(3,)`` mean of the images' normalisation.
        std: ``(3,)`` standard deviation of the images' normalisation.
    """

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        self.mean, self.std = mean, std

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Log the images of the first batch of an epoch."""
        assert isinstance(pl_module, DebiasModule)
        if batch_idx > 0 or not trainer.is_global_zero or not takes_pictures(trainer.loggers):
            return
        pictures = prepared_pictures(pl_module.strategy, batch.image[:MOST], self.mean, self.std)
        if pictures is not None:
            log_picture(trainer.loggers, "val/prepared", pictures, trainer.current_epoch)
