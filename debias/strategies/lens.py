"""The lens: a network that changes images so that the easiest cue to the class disappears."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.nn import functional as F

from debias.errors import check_at_least, check_one_of
from debias.models.layers import layer_shape
from debias.models.mask_network import LensNetwork
from debias.strategies.objectives import task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Turn

ADVERSARIES = ("least_likely", "full")


class Lens(Strategy):
    r"""Train against a lens that removes from the image what makes the class easy to predict.

    The lens is a U-Net u, which adds a change to the image: :math:`l(x) = x + u(x)`. It is an
    adversary of the model f that may change little. So it removes the features that predict the
    class with the least change of pixels, such as shortcuts. The model learns from both images.

    .. math:: L_f = \mathrm{CE}(f(l(x)), y) + \mathrm{CE}(f(x), y), \qquad
              L_u = L_\text{adv} + \tfrac{\lambda}{2}\, \overline{u(x)^2}

    :math:`L_\text{adv}` is the cross-entropy of :math:`f(l(x))` to the class that f finds least
    likely there, or :math:`-\mathrm{CE}(f(l(x)), y)` ("full", which has no lower bound). The bar is
    the mean over pixels and channels of normalised images. Players take their turns in this order:
    "model" on :math:`L_f`, "lens" on :math:`L_u`. The lens starts as the identity. Evaluation uses
    f on unchanged images. Needs no bias labels.

    Source: Minderer et al., "Automatic Shortcut Removal for Self-Supervised Representation
    Learning", ICML 2020. Their code is not public. Checked against a re-implementation,
    aahmadian-liu/rep-learning-shortcut.

    Args:
        groups: the groups of the data, with single-label targets.
        image: ``(1, 3, H, W)`` float, an example that gives the image size.
        closeness: :math:`\lambda \ge 0`. Published by the re-implementation: 320 for CIFAR-10. At 0
            the lens destroys the image; a very large value makes it the identity. Try values by
            factors of 3.
        adversary: "least_likely" or "full".
        width: channels of the U-Net's first map.
        depth: number of times that the U-Net halves the image.

    Raises:
        ValueError: ``closeness`` is negative, ``adversary`` is unknown, ``width`` is below 1,
            ``depth`` is below 2, the images are smaller than ``2 ** depth`` pixels, or targets are
            multi-label.

    Differs from the reference: the task is the class of the image; in the paper it is a pretext
    task without labels. Downstream, the paper joins the features of both images. The U-Net has
    other blocks than the re-implementation, and starts with a change of 0; there, of random size.
    """

    single_label = True

    def __init__(
        self,
        groups: Groups,
        image: Tensor,
        *,
        closeness: float = 320.0,
        adversary: str = "least_likely",
        width: int = 64,
        depth: int = 4,
    ) -> None:
        super().__init__(groups)
        check_at_least(0, {"closeness": closeness}, of="Lens")
        check_one_of(ADVERSARIES, {"adversary": adversary}, of="Lens")
        self.closeness, self.adversary = closeness, adversary
        self.lens = LensNetwork(width=width, depth=depth)
        layer_shape(self.lens, "last", image)  # refuses images that are too small

    def players(self, model: nn.Module) -> dict[str, list[Parameter]]:
        """Player "model" owns the parameters of the model, and "lens" those of the lens."""
        return {"model": list(model.parameters()), "lens": list(self.lens.parameters())}

    def turns(self, step: int) -> Sequence[Turn]:
        """The turn of the model, then that of the lens."""
        return Turn("model", self.model_loss), Turn("lens", self.lens_loss)

    def model_loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Task loss of the changed and of the unchanged images; both are logged."""
        with torch.no_grad():
            changed = self.lens(batch.image)
        lensed = task_loss(model(changed).logits, batch)
        plain = task_loss(model(batch.image).logits, batch)
        terms = {"cross_entropy": plain.detach(), "lens_cross_entropy": lensed.detach()}
        return Loss(lensed + plain, terms)

    def lens_loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Adversarial loss of the lens plus its weighted change; the mean square is logged."""
        changed = self.lens(batch.image)
        logits = model(changed).logits
        if self.adversary == "full":
            loss = -task_loss(logits, batch)
        else:
            loss = task_loss(logits, batch._replace(target=logits.argmin(dim=1)))
        change = F.mse_loss(changed, batch.image)
        return Loss(loss + self.closeness / 2 * change, {"lens_change": change.detach()})
