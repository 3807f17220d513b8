"""Shape-texture debiased training: images and copies in another style, with their own norms."""

from torch import nn

from debias.errors import InputError
from debias.models.second_norms import SecondNorms
from debias.strategies.objectives import task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Loss, Outputs


class ShapeTexture(Strategy):
    r"""Train on each image and on a copy in another style, which has its own batch normalisations.

    .. math:: L = \frac{1}{2 N} \sum_i \left( \ell(f(x_i), y_i)
              + \ell(f'(\tilde x_i), \tilde y_i) \right), \qquad
              \tilde y_i = \gamma\, y_i + (1 - \gamma)\, y_{p(i)}

    :math:`\tilde x_i` is the copy that the run's augmentation draws. :math:`f'` is the model with
    second batch normalisations. The shape of a copy is that of the image, and its texture that of
    its partner p(i). The augmentation gives the target of the copy. The published one is
    ``style_transfer``, which needs weights of an encoder and a decoder. Others that change
    textures, such as ``fda`` or ``random_convolution``, are variants that need none. Evaluation
    uses f alone. Needs no bias labels.

    Source: Li et al., "Shape-Texture Debiased Neural Network Training", ICLR 2021; reference code
    LiYingwei/ShapeTextureDebiasedTraining.

    Args:
        model: the model, whose batch normalisations are copied.
        second_norms: copies have their own batch normalisations. Without them, or in a network
            that has none, f' is f.

    Differs from the reference: copies have the size of the images; the published runs also take
    smaller ones (``--multi_grid``). Image and copy go through the network in two passes. Each pass
    normalises over its own images, as there.
    """

    views = 1

    def __init__(self, model: nn.Module, *, second_norms: bool = True) -> None:
        super().__init__()
        norms = SecondNorms(model)
        self.norms = norms if second_norms and norms.names else None
        self.replaces = "the batch normalisations" if self.norms else ""

    def begin(self, model: nn.Module, earlier: nn.Module) -> None:
        """Copy the batch normalisations from which the training starts."""
        if self.norms is not None:
            self.norms.load_state_dict(SecondNorms(model).state_dict())

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Mean of the task losses of the images and of their copies; both are logged.

        Raises:
            ValueError: the batch has not one view.
        """
        if batch.views is None or len(batch.views) != 1:
            raise InputError(
                "ShapeTexture needs one view of each batch: put a copy in another style into "
                "batch.views"
            )
        (copied,) = batch.views
        own = task_loss(model(batch.image).logits, batch)
        outputs: Outputs = (
            model(copied.image) if self.norms is None else self.norms(model, copied.image)
        )
        styled = task_loss(outputs.logits, copied)
        terms = {"image_loss": own.detach(), "copy_loss": styled.detach()}
        return Loss((own + styled) / 2, terms)
