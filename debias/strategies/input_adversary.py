"""Adversarial removal in the picture: a mask hides what gives the bias away, and as little else as possible."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from debias.losses.gradient_reversal import reverse_gradient
from debias.models.heads import MLPHead
from debias.models.layers import layer_shape, unwrapped
from debias.models.mask_network import MaskNetwork
from debias.strategies.objectives import bias_loss, task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss


class InputAdversary(Strategy):
    r"""One loss; a U-Net m masks the picture for the classifier f and, through a gradient reversal, the adversary A.

    .. math:: L = L_\text{task}(f(m x), y) + \mathrm{CE}(A(R_\lambda(m x)), b) + \beta\, |m x - x|_1

    f learns the task, A the bias with weight 1; the mask learns to help f, to hinder A with weight :math:`\lambda`, and
    to change little. Pixels are normalised, so that what is hidden takes the mean colour of the data. The model is
    trained on masked pictures and must be given masked pictures afterwards: :meth:`masked`.

    Source: Wang et al., "Balanced Datasets Are Not Enough: Estimating and Mitigating Gender Bias in Deep Image
    Representations", ICCV 2019; reference code uvavision/Balanced-Datasets-Are-Not-Enough.

    Args:
        groups: the groups of the data; targets single- or multi-label, two or more values of the bias.
        model: the classifier.
        image: ``(1, 3, H, W)`` float, for its size.
        strength: :math:`\lambda \ge 0`. Published: 5 for COCO, 10 for imSitu.
        closeness: :math:`\beta \ge 0`, on the mean over pixels and channels. Published: 0.1 for COCO, 1 for imSitu.
        width: channels of the U-Net's first map.
        depth: how often it halves the picture.

    Raises:
        ValueError: a bound above is broken, or the pictures are too small.

    Differs from the reference: the adversary is a copy of the classifier, from its present weights, with a new linear
    head (there always a ResNet-18); mask and model move together from the start (there the mask first moves alone);
    samples of unknown bias are not in the adversary's loss and get no gradient from it.
    """

    requires = ("bias",)

    def __init__(
        self,
        groups: Groups,
        model: nn.Module,
        image: Tensor,
        *,
        strength: float = 5.0,
        closeness: float = 0.1,
        width: int = 64,
        depth: int = 4,
    ) -> None:
        super().__init__()
        if strength < 0 or closeness < 0:
            raise ValueError(
                f"an input adversary needs strength >= 0 and closeness >= 0; got strength={strength}, "
                f"closeness={closeness}"
            )
        self.strength, self.closeness = strength, closeness
        self.mask = MaskNetwork(width=width, depth=depth)
        (features,) = layer_shape(model, None, image)
        layer_shape(self.mask, "last", image)  # the pictures are large enough
        self.adversary = copy.deepcopy(unwrapped(model))
        self.adversary.head = MLPHead(features, groups.biases, hidden_layers=0)

    def masked(self, image: Tensor) -> Tensor:
        """``(N, 3, H, W)`` pictures as the model is to see them."""
        hidden: Tensor = self.mask(image) * image
        return hidden

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Task, adversary and closeness; the latter two are logged."""
        masked = self.masked(batch.image)
        # through the batch statistics, the loss of the others would reach the unknown ones
        seen = torch.where((batch.bias >= 0).view(-1, 1, 1, 1), masked, masked.detach())
        adversary = bias_loss(self.adversary(reverse_gradient(seen, strength=self.strength)).logits, batch.bias)
        closeness = (masked - batch.image).abs().mean()
        total = task_loss(model(masked).logits, batch) + adversary + self.closeness * closeness
        return Loss(total, {"adversary": adversary.detach(), "closeness": closeness.detach()})
