"""Adversarial removal in the picture: a mask hides what gives the bias away, and little else."""

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
from debias.strategies.objectives import bias_loss, task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Turn


class InputAdversary(Strategy):
    r"""Mask the image so that an adversary cannot tell the bias from it.

    One loss; a U-Net m masks the picture for the classifier f and, through a gradient reversal, the
    adversary A.

    .. math:: L = L_\text{task}(f(m x), y) + \mathrm{CE}(A(R_\lambda(m x)), b) + \beta\, |m x - x|_1

    f learns the task, A the bias with weight 1; the mask learns to help f, to hinder A with weight
    :math:`\lambda`, and to change little. Pixels are normalised, so that what is hidden takes the
    mean colour of the data. The model sees masked pictures only, in training and afterwards
    (:meth:`prepare`). The loss is the same in three stages, of which the first two may be empty;
    only who moves on it differs:

    1. In the first ``pretraining`` steps f and A move ("predictors"): the mask stays where it
       starts, near 0.95.
    2. In the next ``warmup`` steps the mask alone moves ("mask"), against what f and A know.
    3. From then on all move together ("model"), with a new optimiser.

    An adversary that is always right gives the mask next to no gradient: a greater strength, and a
    warm-up in which it stands still, help. A validation rule may well prefer an epoch of the first
    two stages. How much of the bias is left in masked pictures must be measured with a fresh
    attacker: the adversary's own loss, which is logged, says nothing of it.

    Source: Wang et al., "Balanced Datasets Are Not Enough: Estimating and Mitigating Gender Bias in
    Deep Image Representations", ICCV 2019; reference code
    uvavision/Balanced-Datasets-Are-Not-Enough.

    Args:
        groups: the groups of the data; targets single- or multi-label, two or more values of the
            bias.
        model: the classifier.
        image: ``(1, 3, H, W)`` float, for its size.
        strength: :math:`\lambda \ge 0`. Published: 5 for COCO, 10 for imSitu.
        closeness: :math:`\beta \ge 0`, on the mean over pixels and channels. Published: 0.1 for
            COCO, 1 for imSitu.
        pretraining: steps of stage 1. Published: f and A come trained; for f, 60 epochs of its
            head, then all layers.
        warmup: steps of stage 2. Published: 80 epochs for COCO, of which 75 are kept; then all
            moves up to epoch 160.
        width: channels of the U-Net's first map. Published: 64.
        depth: how often it halves the picture. Published: 5, the last without more channels.

    Raises:
        ValueError: ``strength``, ``closeness``, ``pretraining`` or ``warmup`` is negative, or the
            pictures are too small.

    Differs from the reference: the adversary is a copy of the classifier, from its present weights,
    with a new linear head (there always a ResNet-18); stage 1 is of this training and sees barely
    masked pictures (there both networks are loaded, trained on plain ones); the task's loss has no
    weights per label; samples of unknown bias are not in the adversary's loss and get no gradient
    from it but by the batch statistics of the U-Net. As there, the statistics of f and A go on
    moving in stage 2.
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
        self.strength, self.closeness = strength, closeness
        self.pretraining, self.warmup = pretraining, warmup
        self.mask = MaskNetwork(width=width, depth=depth)
        (features,) = layer_shape(model, None, image)
        layer_shape(self.mask, "last", image)  # the pictures are large enough
        self.adversary = copy.deepcopy(unwrapped(model))
        self.adversary.head = MLPHead(features, groups.biases, hidden_layers=0)

    def players(self, model: nn.Module) -> dict[str, list[Parameter]]:
        """Who moves in each stage that has steps; who moves in the last owns what the others do."""
        everything = super().players(model)
        predictors = [*model.parameters(), *self.adversary.parameters()]
        first = {"predictors": predictors} if self.pretraining else {}
        second = {"mask": list(self.mask.parameters())} if self.warmup else {}
        return first | second | everything

    def turns(self, step: int) -> Sequence[Turn]:
        """The same loss for whoever moves in the stage of this step."""
        if step < self.pretraining:
            return (Turn("predictors", self.loss),)
        return (Turn("mask" if step < self.pretraining + self.warmup else "model", self.loss),)

    def prepare(self, image: Tensor) -> Tensor:
        """Masked pictures."""
        masked: Tensor = self.mask(image) * image
        return masked

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Task, adversary and closeness; the latter two are logged."""
        masked = self.prepare(batch.image)
        # through the batch statistics, the loss of the others would reach the unknown ones
        seen = torch.where((batch.bias >= 0).view(-1, 1, 1, 1), masked, masked.detach())
        adversary = bias_loss(
            self.adversary(reverse_gradient(seen, strength=self.strength)).logits, batch.bias
        )
        closeness = (masked - batch.image).abs().mean()
        total = task_loss(model(masked).logits, batch) + adversary + self.closeness * closeness
        return Loss(total, {"adversary": adversary.detach(), "closeness": closeness.detach()})
