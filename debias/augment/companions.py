"""Companion pictures: generated versions of each image, blended in inside its mask or outside."""

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.augment.augmentation import Augmentation
from debias.errors import InputError, check_at_least, check_between, check_one_of
from debias.types import Batch

#: Which pixels come from the companion.
PARTS = ("foreground", "background", "all")


def feathered(mask: Tensor, radius: int) -> Tensor:
    """The mask with an edge that fades over ``radius`` pixels on both sides: its local mean.

    Args:
        mask: ``(N, 1, H, W)`` float in [0, 1].
        radius: in pixels; 0 keeps the mask.
    """
    if not radius:
        return mask
    mean = F.avg_pool2d(mask, 2 * radius + 1, stride=1, padding=radius, count_include_pad=False)
    return mean.clamp(0, 1)


class Companions(Augmentation):
    r"""Blend a generated version of each image into it, inside its mask or outside.

    .. math:: \tilde x = (1 - w)\, x + w\, x', \qquad w \in \{m,\; 1 - m,\; 1\}

    :math:`x'` is the companion: a picture with the name of the image, in the folder ``data.fills``.
    A program of your choice makes it beforehand, such as a diffusion model for inpainting. Each
    image is changed with the same probability. With ``part=foreground``, m is the mask, and the
    object is drawn again (instance-level augmentation). With ``part=background``, the object stays,
    and everything else comes from the companion. If it shows another background, or another person
    beside the object, image and companion are a counterfactual pair. The class stays.
    ``strategy.name=consistency strategy.clean=true`` makes the predictions for both agree.

    Source: Kupyn & Rupprecht, "Dataset Enhancement with Instance-Level Augmentations", ECCV 2024;
    reference code KupynOrest/instance_augmentation. ``part=background`` is its mirror image, not
    from the paper.

    Args:
        part: the pixels of the companion: "foreground", "background" or "all".
        probability: probability of changing an image, in [0, 1].
        feather: radius of the soft edge in pixels, at least 0.

    Raises:
        ValueError: ``part`` is unknown, ``probability`` is outside [0, 1], or ``feather`` is
            negative.

    Differs from the reference: an image has one mask, not one per instance. So instances are not
    drawn one by one, and no original instance in front of them has to be pasted back. Of an image
    with a single instance, the reference takes the whole companion, as ``part=all``. The edge is a
    local mean. The bias label stays, so use ``part=background`` only with methods that do not read
    it, unless companions keep the bias. Training with another method gives a warning.
    """

    requires = ("mask", "fills")
    reads_backgrounds = True

    def __init__(
        self, *, part: str = "foreground", probability: float = 0.5, feather: int = 0
    ) -> None:
        super().__init__()
        check_one_of(PARTS, {"part": part}, of="Companions")
        check_between("[0, 1]", {"probability": probability}, of="Companions")
        check_at_least(0, {"feather": feather}, of="Companions")
        self.part, self.probability, self.feather = part, probability, feather
        self.moves_bias = self.outdates_bias = part != "foreground"

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        """Blend companions into a batch. Random numbers come from torch's global generators.

        Args:
            batch: a batch with ``mask``, and with the companions as ``background``. It is not
                modified.
            progress: has no effect.

        Raises:
            ValueError: the batch has no masks or no companions.
        """
        if batch.mask is None or batch.background is None:
            raise InputError(
                "companions needs the mask and the companion of each image: give the data set "
                "data.masks and data.fills"
            )
        mask = feathered(batch.mask, self.feather)
        weight = {"foreground": mask, "background": 1 - mask, "all": torch.ones_like(mask)}
        count, device = len(batch.image), batch.image.device
        changed = torch.rand(count, 1, 1, 1, device=device) < self.probability
        image = torch.lerp(batch.image, batch.background, weight[self.part] * changed)
        return batch._replace(image=image, background=None)
