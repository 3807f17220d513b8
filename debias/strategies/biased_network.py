"""A network that learns the shortcut, and methods that train a model beside it."""

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
    """A network for the shortcut, of small receptive field and new weights.

    Args:
        groups: the groups of the data.
        name: its architecture, see :data:`debias.models.small_receptive.NETWORKS`.

    Raises:
        ValueError: an unknown architecture.
    """
    # timm comes with it, which a strategy must not load before somebody wants such a network
    from debias.models.classifier import small_receptive_classifier

    return small_receptive_classifier(groups.outputs, name=name)


class BesideBiasedNetwork(Strategy):
    """A method of two players: a biased network, and the model.

    Attributes:
        network: the biased network. The model's player owns all other parameters of the method.
        warmup: if it is not 0, the biased network moves alone in so many steps, and the model in
            the steps after them. Otherwise, both move in every step, the biased network first.
        player: the name of the biased network's player.
        learns_bias: whether the biased network learns the bias labels, not the class.
    """

    player: ClassVar[str] = "biased"
    learns_bias: ClassVar[bool] = False
    network: nn.Module
    warmup: int = 0

    def players(self, model: nn.Module) -> dict[str, list[Parameter]]:
        """The biased network, and the model with the parameters of the method."""
        named = self.named_parameters()
        others = [parameter for name, parameter in named if not name.startswith("network.")]
        own = list(self.network.parameters())
        return {self.player: own, "model": [*model.parameters(), *others]}

    def turns(self, step: int) -> Sequence[Turn]:
        """The biased network, then the model; with a warm-up, one of them."""
        both = Turn(self.player, self.biased_loss), Turn("model", self.model_loss)
        return both if self.warmup == 0 else both[:1] if step < self.warmup else both[1:]

    def biased_loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Objective of the biased network, in training mode and without the batch's weights."""
        logits = self.network.train()(batch.image).logits
        if self.learns_bias:
            loss = bias_loss(logits, batch.bias)
        else:
            loss = classification_losses(logits, batch.target).mean()
        return Loss(loss, {f"{self.player}_cross_entropy": loss.detach()})

    def model_loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Objective of the model."""
        raise NotImplementedError(f"{type(self).__name__} has no objective of the model")

    @torch.no_grad()
    def biased_outputs(self, image: Tensor) -> Outputs:
        """Outputs of the biased network, in evaluation mode.

        A trainer puts every module of a strategy into training mode, also a frozen one.
        """
        outputs: Outputs = self.network.eval()(image)
        return outputs
