"""Style transfer by AdaIN: the shapes of an image in the textures of another one."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from debias.augment.augmentation import Augmentation
from debias.errors import check_between
from debias.models.style_networks import adain, load_style_network, style_decoder, style_encoder
from debias.pixels import PixelSpace
from debias.types import Batch, Groups


class StyleTransfer(Augmentation):
    r"""Draw each image again in the textures of another image, and mix the targets (AdaIN).

    .. math:: \tilde x_i = g\big( \alpha\, \mathrm{AdaIN}(e(x_i), e(x_j))
              + (1 - \alpha)\, e(x_i) \big), \qquad \tilde t_i = (1 - s)\, t_i + s\, t_j

    e is an encoder and g a decoder, both frozen. debias has no weights of them: give the two files
    of an AdaIN model for VGG-19, whose images are pixels in [0, 1]. They are read without running
    code. ``strategy.name=shape_texture`` trains on the image too, as published.

    Source: Huang & Belongie, "Arbitrary Style Transfer in Real-time with Adaptive Instance
    Normalization", ICCV 2017, as in Li et al., "Shape-Texture Debiased Neural Network Training",
    ICLR 2021; reference code LiYingwei/ShapeTextureDebiasedTraining.

    Args:
        groups: the groups of the data; single-label.
        mean: mean of each of the three channels, in [0, 1], from the normalisation of the images.
        std: standard deviation of each channel, positive, from the same normalisation.
        encoder: file of weights of e, with the keys of ``vgg_normalised.pth``.
        decoder: file of weights of g, with the keys of ``decoder.pth``.
        alpha: :math:`\alpha`, strength of the style, in [0, 1].
        style_share: s, share of the class of the style in the target, in [0, 1].

    Raises:
        ValueError: a file is absent or does not fit, ``alpha`` or ``style_share`` is outside
            [0, 1], or the targets are multi-label.

    Differs from the reference: nothing. If a side is no multiple of 8, the result of the decoder is
    cut to the size of the image.
    """

    single_label = True
    mixes_targets = True

    def __init__(
        self,
        groups: Groups,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        encoder: str = "",
        decoder: str = "",
        alpha: float = 0.5,
        style_share: float = 0.2,
    ) -> None:
        super().__init__(groups)
        shares = {"alpha": alpha, "style_share": style_share}
        check_between("[0, 1]", shares, of="StyleTransfer")
        self.classes, self.alpha, self.style_share = groups.outputs, alpha, style_share
        self.space = PixelSpace(mean, std)
        self.encoder = load_style_network(style_encoder(), encoder, part="encoder")
        self.decoder = load_style_network(style_decoder(), decoder, part="decoder")

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        """Change the style of a batch. Random numbers come from torch's global generators.

        Args:
            batch: a batch with ``(N,)`` class indices, which is not modified.
            progress: has no effect.
        """
        partner = torch.randperm(len(batch.target), device=batch.image.device)
        target = F.one_hot(batch.target, self.classes).to(torch.float32)
        return batch._replace(
            image=self.styled(batch.image, partner),
            target=torch.lerp(target, target[partner], self.style_share),
        )

    @torch.no_grad()
    def styled(self, image: Tensor, partner: Tensor) -> Tensor:
        """``(N, 3, H, W)`` normalised images in the styles of their partners.

        Args:
            image: ``(N, 3, H, W)`` normalised.
            partner: ``(N,)`` int64 position of each image's partner in the batch.
        """
        height, width = image.shape[2:]
        maps = self.encoder(self.space.pixels(image))
        drawn: Tensor = self.decoder(maps.lerp(adain(maps, maps[partner]), self.alpha))
        return self.space.normalised(drawn[..., :height, :width]).to(image.dtype)
