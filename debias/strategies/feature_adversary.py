"""Adversarial removal: no adversary shall tell the bias from what is inside the model."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from debias.errors import InputError, check_at_least, check_one_of
from debias.losses.gradient_reversal import reverse_gradient
from debias.models.copies import layers_after
from debias.models.heads import MLPHead
from debias.models.layers import layer_shape, pooled, read_layer
from debias.strategies.objectives import bias_loss, task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Turn

FEEDS = ("pooled", "flattened", "blocks")


class Adversary(nn.Module):
    """Predicts the bias from the activation of a layer.

    Args:
        model: whose layer it reads.
        image: ``(1, 3, H, W)`` float, for the shapes inside the model.
        outputs: values of the bias.
        layer: dotted name; ``None`` for the features that the model's head reads.
        feed: how the activation comes to the hidden layers: its mean over places or tokens
            ("pooled"), all of it ("flattened"), or the features that a copy of the rest of the
            network makes of it ("blocks").
        hidden_size: units of a hidden layer.
        hidden_layers: how many; 0 leaves a linear adversary.

    Raises:
        ValueError: there is no such feed or layer, or the rest of the network cannot be copied or
            has no weights.
    """

    def __init__(
        self,
        model: nn.Module,
        image: Tensor,
        outputs: int,
        *,
        layer: str | None,
        feed: str,
        hidden_size: int,
        hidden_layers: int,
    ) -> None:
        super().__init__()
        check_one_of(FEEDS, {"feed": feed})
        shape = layer_shape(model, layer, image)
        self.blocks = _copied_blocks(model, layer, image) if feed == "blocks" else nn.Identity()
        self.reduce = nn.Flatten() if feed == "flattened" else _Pooled()
        example = torch.zeros(2, *shape, device=image.device)
        with torch.no_grad():
            inputs = self.reduce(self.blocks.eval()(example)).shape[1]
        self.blocks.train()
        self.head = MLPHead(inputs, outputs, hidden_size=hidden_size, hidden_layers=hidden_layers)

    def forward(self, activation: Tensor) -> Tensor:
        """``(N, outputs)`` logits of ``(N, ...)`` activations."""
        logits: Tensor = self.head(self.reduce(self.blocks(activation)))
        return logits


def _copied_blocks(model: nn.Module, layer: str | None, image: Tensor) -> nn.Module:
    if layer is None:
        raise InputError(
            "feed='blocks' copies the layers after a layer, and none is named: set layer"
        )
    blocks = layers_after(model, layer, image)
    if not any(True for _ in blocks.parameters()):
        raise InputError(
            f"no weights lie between layer={layer!r} and the features: name an earlier one, or "
            "pooled"
        )
    return blocks


class _Pooled(nn.Module):
    def forward(self, activation: Tensor) -> Tensor:
        """``(N, C)`` means over places or tokens."""
        return pooled(activation)


class FeatureAdversary(Strategy):
    r"""Remove the bias from a layer's features by an adversary behind a gradient reversal.

    .. math:: L = L_\text{task}(f(x), y) + \mathrm{CE}(A(R_\lambda(h(x))), b)

    with :math:`h` the activation of a layer and :math:`R_\lambda` of
    :func:`debias.losses.gradient_reversal.reverse_gradient`: the adversary A descends with weight
    1, what computes h climbs with weight :math:`\lambda`, and what lies above h sees the task
    alone. The published recipe draws bias-balanced batches and starts from a trained model. How
    much of the bias is left must be measured with a fresh attacker: the adversary's own loss, which
    is logged, says nothing of it.

    Source: Wang et al., "Balanced Datasets Are Not Enough: Estimating and Mitigating Gender Bias in
    Deep Image Representations", ICCV 2019; reference code
    uvavision/Balanced-Datasets-Are-Not-Enough.

    Args:
        groups: the groups of the data; targets single- or multi-label, two or more values of the
            bias.
        model: the classifier.
        image: ``(1, 3, H, W)`` float, for the shapes inside it.
        layer: dotted name of the layer that the adversary reads, as timm names it ("layer4",
            "blocks.3"); ``None`` for the features that the classifier's head reads.
        feed: "pooled", "flattened" or "blocks", see :class:`Adversary`. Published: "layer3" or
            "layer4", "flattened".
        strength: :math:`\lambda \ge 0`. Published: 2 for COCO, 1 for imSitu.
        ramp: steps over which the strength rises linearly from 0; 0 for full strength from the
            start.
        hidden_size: units of the adversary's hidden layers.
        hidden_layers: how many there are.

    Raises:
        ValueError: ``strength`` or ``ramp`` is negative, or there is no such layer or ``feed``.

    Differs from the reference: the task's loss is the mean of
    :func:`debias.losses.classification.classification_losses`, without weights per label; samples
    of unknown bias are not in the adversary's loss and get no gradient from it (they are in its
    batch statistics); the copy of the remaining blocks starts from the model's present weights; the
    strength may ramp.
    """

    requires = ("bias",)

    def __init__(
        self,
        groups: Groups,
        model: nn.Module,
        image: Tensor,
        *,
        layer: str | None = None,
        feed: str = "pooled",
        strength: float = 1.0,
        ramp: int = 0,
        hidden_size: int = 300,
        hidden_layers: int = 3,
    ) -> None:
        super().__init__()
        check_at_least(0, {"strength": strength, "ramp": ramp}, of="FeatureAdversary")
        self.layer, self.strength, self.ramp = layer, strength, ramp
        head = {"hidden_size": hidden_size, "hidden_layers": hidden_layers}
        self.adversary = Adversary(model, image, groups.biases, layer=layer, feed=feed, **head)

    def turns(self, step: int) -> Sequence[Turn]:
        """The model moves, against the strength of this step."""
        return (Turn("model", partial(self._loss, self.strength_at(step))),)

    def strength_at(self, step: int) -> float:
        """Strength at a step: ``strength * min(1, step / ramp)``."""
        return self.strength * min(1.0, step / self.ramp) if self.ramp else self.strength

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Task and adversary at full strength; the adversary's loss is logged."""
        return self._loss(self.strength, model, batch)

    def _loss(self, strength: float, model: nn.Module, batch: Batch) -> Loss:
        outputs, activation = read_layer(model, self.layer, batch.image)
        known = (batch.bias >= 0).view(-1, *[1] * (activation.ndim - 1))
        # through the batch statistics, the loss of the others would reach the unknown ones
        activation = torch.where(known, activation, activation.detach())
        logits = self.adversary(reverse_gradient(activation, strength=strength))
        adversary = bias_loss(logits, batch.bias)
        return Loss(task_loss(outputs.logits, batch) + adversary, {"adversary": adversary.detach()})
