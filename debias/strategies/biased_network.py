"""Base class of methods that train a model beside a network which learns the shortcut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from debias.losses.classification import classification_losses
from debias.strategies.objectives import bias_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Outputs, Turn

if TYPE_CHECKING:
    from debias.models.classifier import Classifier


def biased_network(groups: Groups, name: str) -> Classifier:
    """A new network with a small receptive field, which can learn only local cues such as texture.

    Args:
        groups: the groups of the data.
        name: its architecture, see :data:`debias.models.small_receptive.NETWORKS`.

    Raises:
        ValueError: ``name`` is not a known architecture.
    """
    # imported here, since it loads timm, which most strategies do not need
    from debias.models.classifier import small_receptive_classifier

    return small_receptive_classifier(groups.outputs, name=name)


class BesideBiasedNetwork(Strategy):
    """A method with two players: a biased network, and the model.

    Attributes:
        network: the biased network. The model's player owns all other parameters of the method.
        warmup: number of first steps that train only the biased network; later steps train only the
            model. With 0, each step trains both, the biased network first.
        player: the name of the biased network's player.
        learns_bias: whether the biased network learns the bias labels instead of the class.
    """

    player: ClassVar[str] = "biased"
    learns_bias: ClassVar[bool] = False
    network: nn.Module
    warmup: int = 0

    def players(self, model: nn.Module) -> dict[str, list[Parameter]]:
        """Two players: the biased network, and the model with the method's other parameters."""
        named = self.named_parameters()
        further = [parameter for name, parameter in named if not name.startswith("network.")]
        biased = list(self.network.parameters())
        return {self.player: biased, "model": [*model.parameters(), *further]}

    def turns(self, step: int) -> Sequence[Turn]:
        """The biased network, then the model. With a warm-up, only one of them per step."""
        both = Turn(self.player, self.biased_loss), Turn("model", self.model_loss)
        return both if self.warmup == 0 else both[:1] if step < self.warmup else both[1:]

    def biased_loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Mean loss of the biased network, in training mode and without sample weights."""
        logits = self.network.train()(batch.image).logits
        if self.learns_bias:
            loss = bias_loss(logits, batch.bias)
        else:
            loss = classification_losses(logits, batch.target).mean()
        return Loss(loss, {f"{self.player}_cross_entropy": loss.detach()})

    def model_loss(self, model: nn.Module, batch: Batch) -> Loss:
        """The loss of the model. Each method defines it."""
        raise NotImplementedError(f"{type(self).__name__} does not define model_loss")

    @torch.no_grad()
    def biased_outputs(self, image: Tensor) -> Outputs:
        """Outputs of the biased network, in evaluation mode and without gradient.

        A trainer puts all modules of a strategy into training mode, even a frozen one.
        """
        outputs: Outputs = self.network.eval()(image)
        return outputs
