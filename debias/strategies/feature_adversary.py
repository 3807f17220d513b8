"""Adversarial removal: train features from which an adversary cannot predict the bias."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from debias.errors import InputError, check_at_least, check_one_of
from debias.losses.gradient_reversal import reverse_gradient
from debias.models.copies import layers_after
from debias.models.heads import MLPHead
from debias.models.layers import layer_shape, pooled, read_layer
from debias.strategies.objectives import bias_loss, check_biases, task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Turn

FEEDS = ("pooled", "flattened", "blocks")


class Adversary(nn.Module):
    """A network that predicts the bias from the activation of a layer.

    Args:
        model: the model that contains the layer.
        image: ``(1, 3, H, W)`` float, an example that gives the shape of the activation.
        outputs: number of bias values.
        layer: dotted name of the layer; ``None`` for the features that the model's head reads.
        feed: input of the hidden layers. "pooled": the mean of the activation over places or
            tokens; "flattened": the whole activation; "blocks": the features that a copy of the
            model's later layers computes from it.
        hidden_size: units of a hidden layer.
        hidden_layers: number of hidden layers; 0 gives a linear adversary.

    Raises:
        ValueError: ``feed`` or ``layer`` is unknown. With "blocks", ``layer`` is ``None``, or the
            later layers cannot be copied or have no weights.
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
        """``(N, outputs)`` logits from ``(N, ...)`` activations."""
        logits: Tensor = self.head(self.reduce(self.blocks(activation)))
        return logits


def _copied_blocks(model: nn.Module, layer: str | None, image: Tensor) -> nn.Module:
    if layer is None:
        raise InputError("feed='blocks' copies the layers after `layer`; got layer=null: set layer")
    blocks = layers_after(model, layer, image)
    if not any(True for _ in blocks.parameters()):
        raise InputError(
            f"no weights lie between layer={layer!r} and the features: set an earlier layer, or "
            "feed=pooled"
        )
    return blocks


class _Pooled(nn.Module):
    def forward(self, activation: Tensor) -> Tensor:
        """``(N, C)`` means over places or tokens."""
        return pooled(activation)


class FeatureAdversary(Strategy):
    r"""Remove the bias from a layer's features by an adversary behind a gradient reversal.

    .. math:: L = L_\text{task}(f(x), y) + \mathrm{CE}(A(R_\lambda(h(x))), b)

    :math:`h` is the activation of a layer, and :math:`R_\lambda` is
    :func:`debias.losses.gradient_reversal.reverse_gradient`. The adversary A minimises its loss
    with weight 1. The layers up to h maximise it with weight :math:`\lambda`. The later layers are
    trained only on the task. The published recipe draws bias-balanced batches and starts from a
    trained model. The logged loss of the adversary does not show how much bias is left: train a new
    attacker to measure that.

    Source: Wang et al., "Balanced Datasets Are Not Enough: Estimating and Mitigating Gender Bias in
    Deep Image Representations", ICCV 2019; reference code
    uvavision/Balanced-Datasets-Are-Not-Enough.

    Args:
        groups: the groups of the data, with at least two bias values; targets may be single- or
            multi-label.
        model: the classifier.
        image: ``(1, 3, H, W)`` float, an example that gives the shapes inside the model.
        layer: dotted name of the layer that the adversary reads, as in timm ("layer4", "blocks.3");
            ``None`` for the features that the classifier's head reads.
        feed: "pooled", "flattened" or "blocks", see :class:`Adversary`. Published: "layer3" or
            "layer4", "flattened".
        strength: :math:`\lambda \ge 0`. Published: 2 for COCO, 1 for imSitu.
        ramp: number of steps in which the strength rises linearly from 0; 0 for full strength from
            the start.
        hidden_size: units of the adversary's hidden layers.
        hidden_layers: number of the adversary's hidden layers.

    Raises:
        ValueError: ``strength`` or ``ramp`` is negative, ``layer`` or ``feed`` is unknown, or there
            is a single bias value.

    Differs from the reference: the task loss is the mean of
    :func:`debias.losses.classification.classification_losses`, without weights per label. Samples
    of unknown bias are not in the adversary's loss and get no gradient from it, but they are in its
    batch statistics. The copy of the later layers starts from the model's present weights. The
    strength may rise with ``ramp``.
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
        check_biases(groups, "FeatureAdversary")
        self.layer, self.strength, self.ramp = layer, strength, ramp
        head = {"hidden_size": hidden_size, "hidden_layers": hidden_layers}
        self.adversary = Adversary(model, image, groups.biases, layer=layer, feed=feed, **head)
        if hidden_layers:
            self.smallest_batch = 2  # the adversary has batch normalisation

    def turns(self, step: int) -> Sequence[Turn]:
        """One turn of model and adversary, with the strength of this step."""
        return (Turn("model", partial(self._loss, self.strength_at(step))),)

    def strength_at(self, step: int) -> float:
        """Strength at a step: ``strength * min(1, step / ramp)``."""
        return self.strength * min(1.0, step / self.ramp) if self.ramp else self.strength

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Task loss plus the adversary's loss at full strength; the latter is logged."""
        return self._loss(self.strength, model, batch)

    def _loss(self, strength: float, model: nn.Module, batch: Batch) -> Loss:
        outputs, activation = read_layer(model, self.layer, batch.image)
        labelled = (batch.bias >= 0).view(-1, *[1] * (activation.ndim - 1))
        # otherwise batch statistics would pass gradients to the samples of unknown bias
        activation = torch.where(labelled, activation, activation.detach())
        logits = self.adversary(reverse_gradient(activation, strength=strength))
        adversary = bias_loss(logits, batch.bias)
        return Loss(task_loss(outputs.logits, batch) + adversary, {"adversary": adversary.detach()})
