"""Translated: each image with the look of another class, and its own class as the target."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from debias.augment.augmentation import Augmentation
from debias.errors import InputError
from debias.models.translator import Translator, check_sides
from debias.pixels import PixelSpace
from debias.types import Batch, Groups

#: Reads the named tensors of a file of weights.
WeightsReader = Callable[[str], Mapping[str, Tensor]]


class Translated(Augmentation):
    r"""Translate each image to a random other class, and keep its class as the target.

    .. math:: \tilde x_i = G(x_i, c_i), \quad c_i \ne y_i, \qquad \tilde y_i = y_i

    G is a frozen translator that was trained by ``strategy.name=translation``. If the shortcut is
    easier to change than the class, G changes the shortcut alone. If it is not, G changes the
    class, and the target is wrong. Look at ``translations.png`` of a run of ``recipe.name=cdvg``.

    Source: Jung et al., "Fighting Fire with Fire: Contrastive Debiasing without Bias-free Data via
    Generative Bias-transformation" (CDvG), ICML 2023. No code was found.

    Args:
        groups: the groups of the data, with single-label targets.
        image: ``(1, 3, H, W)`` float, an example that gives the image size.
        mean: mean of each of the three channels, in [0, 1], from the normalisation of the images.
        std: standard deviation of each channel, positive, from the same normalisation.
        read_weights: maps the path of a file of weights to its named tensors. It has none if a
            checkpoint gives the weights.
        translator: file of weights of G, such as ``translator.safetensors`` of a run of
            ``recipe.name=cdvg``.
        width: channels of the first maps of G; the same as in training.
        blocks: residual blocks of G; the same as in training.

    Raises:
        ValueError: the file is absent or does not fit, a side of the images is no multiple of 4 or
            below 8 pixels, or the targets are multi-label.
    """

    single_label = True
    outdates_bias = True

    def __init__(
        self,
        groups: Groups,
        image: Tensor,
        mean: Sequence[float],
        std: Sequence[float],
        read_weights: WeightsReader,
        *,
        translator: str = "",
        width: int = 32,
        blocks: int = 3,
    ) -> None:
        super().__init__(groups)
        if not translator:
            raise InputError(
                "augment.translator must be a file of weights of a translator; got nothing. Train "
                "one by recipe.name=cdvg, or strategy.name=translation"
            )
        check_sides(image)
        self.classes, self.space = groups.outputs, PixelSpace(mean, std)
        self.translator = Translator(self.classes, width=width, blocks=blocks)
        if weights := read_weights(translator):
            _load(self.translator, weights, translator)
        self.translator.requires_grad_(False)

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        """Translate each image of a batch. Random numbers come from torch's global generators.

        Args:
            batch: a batch with ``(N,)`` class indices, which is not modified.
            progress: has no effect.
        """
        step = torch.randint_like(batch.target, 1, self.classes)
        new_class = (batch.target + step) % self.classes
        return batch._replace(image=translated(self.translator, self.space, batch.image, new_class))


@torch.no_grad()
def translated(
    translator: Translator, space: PixelSpace, image: Tensor, new_class: Tensor
) -> Tensor:
    """Translate normalised images.

    Args:
        translator: the network, whose pixels are in [-1, 1].
        space: the normalisation of the images.
        image: ``(N, 3, H, W)`` normalised.
        new_class: ``(N,)`` int64 class that each image becomes.

    Returns:
        Images of the same shape, normalised.
    """
    signed: Tensor = translator(space.pixels(image) * 2 - 1, new_class)
    return space.normalised((signed.to(image.dtype) + 1) / 2)


def _load(translator: Translator, weights: Mapping[str, Tensor], path: str) -> None:
    """Load weights into a translator.

    Raises:
        ValueError: they do not fit.
    """
    own = {name: value.shape for name, value in translator.state_dict().items()}
    if own != {name: value.shape for name, value in weights.items()}:
        raise InputError(
            f"{path} does not fit the translator: give a translator of the same classes, and "
            "augment.width and augment.blocks as in its training"
        )
    translator.load_state_dict(dict(weights))
