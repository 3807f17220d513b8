"""A classifier with its preprocessing, as a plain module of PyTorch: it predicts pictures."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from debias.data.dataset import ImageDataset, keep
from debias.data.examples import Examples
from debias.data.orders import Visits
from debias.data.pictures.geometry import Geometry
from debias.data.pictures.image_files import ImageFiles
from debias.data.pictures.images import MAX_PIXELS
from debias.errors import InputError
from debias.models.classifier import Classifier
from debias.models.layers import evaluating
from debias.progress import each
from debias.strategies.strategy import Strategy
from debias.trained.images import Images, Picture, read, shaped
from debias.trained.predictions import ImagePredictions
from debias.types import Batch, Groups, Outputs


class PictureModel(nn.Module):
    """A classifier of pictures: normalised images in, logits out, with its preprocessing.

    It is a plain module. It can be moved, called, traced and saved like any other. It needs neither
    Lightning nor a data set.

    Args:
        model: the network.
        geometry: the steps that resize and crop a picture.
        groups: names of the classes; the bias values do not matter.
        strategy: changes the images or computes the classes; ``None`` if the network alone does.
        max_pixels: the most pixels that a file may have.

    Attributes:
        model: the network.
        strategy: the strategy, or ``None``.
        groups: the groups, with the names of the classes.
        classes: name of each logit: the classes, or the labels.
        geometry: the steps that resize and crop a picture in evaluation.
        max_pixels: the most pixels that a file may have.
        mean: ``(3, 1, 1)`` mean of each channel, for pixels in [0, 1].
        std: ``(3, 1, 1)`` standard deviation of each channel.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: Classifier,
        geometry: Geometry,
        groups: Groups,
        *,
        strategy: Strategy | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        super().__init__()
        self.max_pixels = max_pixels
        self.model, self.strategy, self.geometry, self.groups = model, strategy, geometry, groups
        names = groups.target_names
        self.classes = names[1::2] if groups.multi_label else names
        for name, values in (("mean", model.mean), ("std", model.std)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``(N, outputs)`` of normalised images ``(N, 3, H, W)``."""
        outputs: Outputs
        if self.strategy is None:
            outputs = self.model(image)
        else:
            outputs = self.strategy.classify(self.model, image)
        return outputs.logits

    def normalise(self, image: Tensor) -> Tensor:
        """Convert uint8 pixels ``([N,] 3, H, W)`` to the model's input, on the same device."""
        mean, std = self.mean.to(image.device), self.std.to(image.device)
        return image.float().mul_(1 / (255 * std)).add_(-mean / std)

    def preprocess(self, picture: Picture) -> Tensor:
        """The model's input ``(3, H, W)`` of one picture: resized, cropped and normalised.

        Args:
            picture: a file, a ``PIL.Image``, or an ``(H, W, 3)`` uint8 array.

        Raises:
            ValueError: the picture cannot be read.
        """
        return self.normalise(shaped(picture, self.geometry, self.max_pixels))

    def predict(
        self, images: Images, *, batch_size: int = 64, workers: int = 0, progress: bool = False
    ) -> ImagePredictions:
        """Predict images in evaluation mode, in float32, on the model's device.

        Args:
            images: a folder, a file or a pattern such as ``photos/*.jpg``; a list of files, of
                ``PIL.Image`` or of arrays; ``(N, 3, H, W)`` tensors, or a ``DataLoader`` whose
                batches begin with one. Tensors have the model's size. Those of uint8 are normalised
                here, those of float are already.
            batch_size: number of images per step.
            workers: number of processes that read files.
            progress: show a progress bar on a terminal.

        Raises:
            ValueError: there is no picture, none can be read, or tensors have another size.
        """
        batches = read(
            images,
            self.geometry,
            batch_size=batch_size,
            workers=workers,
            max_pixels=self.max_pixels,
        )
        names: list[str] = []
        unreadable: dict[str, str] = {}
        logits: list[Tensor] = []
        with evaluating(self), torch.inference_mode():
            for batch in each(batches, "predicting pictures", "batch", bar=progress):
                good = [place for place, reason in enumerate(batch.reasons) if not reason]
                names += [batch.names[place] for place in good]
                pairs = zip(batch.names, batch.reasons, strict=True)
                unreadable |= {name: reason for name, reason in pairs if reason}
                if good:
                    logits.append(self._logits(batch.image[good]))
        if not logits:
            first = next(iter(unreadable.values()), "there is none")
            raise InputError(f"no picture can be read: {first}")
        return ImagePredictions(tuple(names), torch.cat(logits), self.groups, unreadable)

    def predict_rows(
        self,
        examples: Examples,
        rows: Tensor,
        *,
        batch_size: int = 64,
        workers: int = 0,
        progress: bool = False,
    ) -> Tensor:
        """Logits ``(M, outputs)`` of rows of a data set, in evaluation mode, in float32.

        Args:
            examples: the data set.
            rows: ``(M,)`` int64 rows of it.
            batch_size: number of images per step.
            workers: number of processes that read files.
            progress: show a progress bar on a terminal.

        Raises:
            ValueError: a picture cannot be read.
        """
        examples = replace(examples, mask_root=None, masks=())  # they would be read for nothing
        source = ImageFiles.of(examples, rows, self.geometry)
        loader: DataLoader[Batch] = DataLoader(
            ImageDataset(examples, rows, source),
            batch_size=None,
            sampler=[*Visits.of(range(len(rows))).batches(batch_size)],
            num_workers=workers,
            collate_fn=keep,  # type: ignore[arg-type]  # torch's stubs expect lists of samples
        )
        with evaluating(self), torch.inference_mode():
            batches = each(loader, "predicting pictures", "batch", bar=progress)
            return torch.cat([self._logits(batch.image) for batch in batches])

    def _logits(self, image: Tensor) -> Tensor:
        image = image.to(self.mean.device)
        image = self.normalise(image) if image.dtype == torch.uint8 else image
        logits: Tensor = self(image)
        return logits.float().cpu()
