"""Adversarial removal in the image: a mask hides the pixels that show the bias to an adversary."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from debias.errors import check_at_least
from debias.losses.gradient_reversal import reverse_gradient
from debias.models.heads import MLPHead
from debias.models.layers import layer_shape, unwrapped
from debias.models.mask_network import MaskNetwork
from debias.strategies.objectives import bias_loss, check_biases, task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Turn


class InputAdversary(Strategy):
    r"""Mask the image so that an adversary cannot predict the bias from it.

    A U-Net m masks the image for the classifier f. An adversary A reads the same masked image
    through a gradient reversal.

    .. math:: L = L_\text{task}(f(m x), y) + \mathrm{CE}(A(R_\lambda(m x)), b) + \beta\, |m x - x|_1

    f is trained on the task, and A on the bias with weight 1. The mask is trained to help f, to
    mislead A with weight :math:`\lambda`, and to change few pixels. Pixels are normalised, so
    hidden pixels have the mean colour of the data. The model sees only masked images, also in
    evaluation (:meth:`prepare`). Training has three stages, which update different networks on the
    same loss. Stages 1 and 2 may have 0 steps.

    1. In the first ``pretraining`` steps, f and A are trained (player "predictors"). The mask keeps
       its first value, about 0.95.
    2. In the next ``warmup`` steps, only the mask is trained (player "mask").
    3. After that, all networks are trained (player "model"), with a new optimiser.

    If the adversary is always right, the mask gets almost no gradient: raise ``strength``, or use
    ``warmup``, in which A is fixed. A selection rule may choose an epoch of stage 1 or 2. The
    logged loss of the adversary does not show how much bias is left in masked images: train a new
    attacker to measure that.

    Source: Wang et al., "Balanced Datasets Are Not Enough: Estimating and Mitigating Gender Bias in
    Deep Image Representations", ICCV 2019; reference code
    uvavision/Balanced-Datasets-Are-Not-Enough.

    Args:
        groups: the groups of the data, with at least two bias values; targets may be single- or
            multi-label.
        model: the classifier.
        image: ``(1, 3, H, W)`` float, an example that gives the image size.
        strength: :math:`\lambda \ge 0`. Published: 5 for COCO, 10 for imSitu.
        closeness: :math:`\beta \ge 0`, weight of the mean change over pixels and channels.
            Published: 0.1 for COCO, 1 for imSitu.
        pretraining: steps of stage 1. Published: f and A are trained before; for f, 60 epochs of
            its head, then all layers.
        warmup: steps of stage 2. Published: 80 epochs for COCO; 75 of them are kept. Then stage 3
            until epoch 160.
        width: channels of the U-Net's first map. Published: 64.
        depth: number of times that the U-Net halves the image. Published: 5, where the last one
            adds no channels.

    Raises:
        ValueError: ``strength``, ``closeness``, ``pretraining`` or ``warmup`` is negative,
            ``width`` is below 1, ``depth`` is below 2, the images are smaller than ``2 ** depth``
            pixels, or there is a single bias value.

    Differs from the reference: the adversary is a copy of the classifier with its present weights
    and a new linear head; there it is always a ResNet-18. Stage 1 belongs to this training and uses
    almost unmasked images; there both networks are loaded, trained on unmasked images. The task
    loss has no weights per label. Samples of unknown bias are not in the adversary's loss; its
    gradient reaches them only through the batch statistics of the U-Net. As in the reference, the
    batch statistics of f and A are still updated in stage 2.
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
        pretraining: int = 0,
        warmup: int = 0,
        width: int = 64,
        depth: int = 4,
    ) -> None:
        super().__init__()
        check_at_least(0, {"strength": strength, "closeness": closeness}, of="InputAdversary")
        check_at_least(0, {"pretraining": pretraining, "warmup": warmup}, of="InputAdversary")
        check_biases(groups, "InputAdversary")
        self.strength, self.closeness = strength, closeness
        self.pretraining, self.warmup = pretraining, warmup
        self.mask = MaskNetwork(width=width, depth=depth)
        (features,) = layer_shape(model, None, image)
        layer_shape(self.mask, "last", image)  # refuses images that are too small
        self.adversary = copy.deepcopy(unwrapped(model))
        self.adversary.head = MLPHead(features, groups.biases, hidden_layers=0)

    def players(self, model: nn.Module) -> dict[str, list[Parameter]]:
        """One player per stage that has steps. "model", of the last stage, owns all parameters."""
        everything = super().players(model)
        predictors = [*model.parameters(), *self.adversary.parameters()]
        first = {"predictors": predictors} if self.pretraining else {}
        second = {"mask": list(self.mask.parameters())} if self.warmup else {}
        return first | second | everything

    def turns(self, step: int) -> Sequence[Turn]:
        """One turn of the player of this stage; the loss is the same in all stages."""
        if step < self.pretraining:
            return (Turn("predictors", self.loss),)
        return (Turn("mask" if step < self.pretraining + self.warmup else "model", self.loss),)

    def prepare(self, image: Tensor) -> Tensor:
        """The masked images, in training and in evaluation: the model sees no others."""
        masked: Tensor = self.mask(image) * image
        return masked

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Task loss, adversary's loss and weighted closeness; the last two are logged."""
        masked = self.prepare(batch.image)
        # otherwise batch statistics would pass gradients to the samples of unknown bias
        inputs = torch.where((batch.bias >= 0).view(-1, 1, 1, 1), masked, masked.detach())
        adversary = bias_loss(
            self.adversary(reverse_gradient(inputs, strength=self.strength)).logits, batch.bias
        )
        closeness = (masked - batch.image).abs().mean()
        total = task_loss(model(masked).logits, batch) + adversary + self.closeness * closeness
        return Loss(total, {"adversary": adversary.detach(), "closeness": closeness.detach()})
