"""Augmentations that mix the pixels of an image with those of a partner."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from debias.augment.pixels import PixelAugmentation
from debias.errors import check_between
from debias.pixels import pictures_digest
from debias.types import Batch

#: Reads all pictures below a folder as ``(M, 3, H, W)`` uint8, in the size of the images.
FolderReader = Callable[[str], Tensor]


class PartnerAugmentation(PixelAugmentation):
    """Base class of augmentations that change an image by a partner: another picture.

    A subclass overrides :meth:`mixed`. Each image is changed with the same probability, and draws
    its own partner. The other images stay exactly as they are. Target and bias label stay those of
    the image itself.

    Args:
        mean: mean of each of the three channels, in [0, 1], from the normalisation of the images.
        std: standard deviation of each channel, positive, from the same normalisation.
        read_folder: reads the pictures below a folder, see
            :func:`debias.data.pictures.picture_folder.read_folder`.
        partner: "batch" for another image of the batch, or the path of a folder of pictures, such
            as paintings, textures or fractals. A folder called batch is "./batch".
        probability: probability of changing an image, in [0, 1].

    Raises:
        ValueError: ``probability`` is outside [0, 1], or the folder does not exist, has no picture
            or has a damaged one.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        read_folder: FolderReader,
        *,
        partner: str,
        probability: float,
    ) -> None:
        super().__init__(mean, std)
        check_between("[0, 1]", {"probability": probability}, of=type(self).__name__)
        self.probability = probability
        self.pictures = None if partner == "batch" else read_folder(partner)
        if self.pictures is not None:
            self.register_buffer("pictures_digest", pictures_digest(self.pictures))

    def mixed(self, pixels: Tensor, partner: Tensor) -> Tensor:
        """Return the changed pixels of images.

        Args:
            pixels: ``(N, 3, H, W)`` float in [0, 1].
            partner: ``(N, 3, H, W)`` float in [0, 1], the pixels of each image's partner.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define mixed")

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        """Change the images of a batch. Random numbers come from torch's global generators.

        Args:
            batch: a batch of normalised images, which is not modified.
            progress: has no effect.
        """
        count, device = len(batch.image), batch.image.device
        # drawn on the CPU, so that the number of changed images is known without waiting
        changed = (torch.rand(count) < self.probability).nonzero().flatten()
        if not len(changed):
            return batch
        if self.pictures is None:
            other = torch.randperm(count)[changed].to(device)
            partner = self.space.pixels(batch.image[other])
        else:
            drawn = self.pictures[torch.randint(len(self.pictures), (len(changed),))]
            partner = drawn.to(device).float().div_(255)
        changed, image = changed.to(device), batch.image.clone()
        pixels = self.space.pixels(image[changed])
        image[changed] = self.space.normalised(self.mixed(pixels, partner)).to(image.dtype)
        return batch._replace(image=image)
