"""BAdd: the model gets bias features in training, so it need not learn the bias itself."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from debias.errors import InputError, check_at_least
from debias.models.copies import twin
from debias.models.layers import evaluating
from debias.strategies.biased_network import BesideBiasedNetwork
from debias.strategies.objectives import task_loss
from debias.types import Batch, Groups, Loss, Outputs, Turn


class BAdd(BesideBiasedNetwork):
    r"""Add a bias network's features to the model's, so that the model need not learn the bias.

    1. In the first ``warmup`` steps, a network g of the model's architecture learns the bias
       labels. Then g is frozen.
    2. After that, the model is trained on :math:`\mathrm{CE}(h(z + m\, z_g), y)`. Here z and
       :math:`z_g` are the features of the model and of g, and h is the model's head.
    3. From step ``refit_from`` on, only the head is trained, on :math:`\mathrm{CE}(h(z), y)`. There
       is no stage 3 if ``refit_from`` is 0.

    Evaluation uses :math:`h(z)`. Stage 2 does not train the head on z alone, so without stage 3 the
    head may favour a class.

    Source: Sarridis et al., "BAdd: Bias Mitigation through Bias Addition", 2024; reference code
    mever-team/vb-mitigator.

    Args:
        groups: the groups of the data; targets may be single- or multi-label.
        model: the classifier, with a linear ``head``; g starts from its weights.
        strength: m >= 0.
        warmup: number of steps that train g, at least 1. Raise it until the logged loss of g is
            low.
        refit_from: first step of stage 3, greater than ``warmup``, or 0 for no stage 3. In the
            paper stage 3 lasts 20 epochs.

    Raises:
        ValueError: ``strength`` is negative, ``warmup`` is below 1, or ``refit_from`` is neither 0
            nor greater than ``warmup``.

    Differs from the reference: g is trained first in the same run, on the bias labels of the
    training data. It has the model's architecture, so that both feature sizes are equal. The
    reference loads g, which may be trained on other data. The reference code has no stage 3, and it
    runs the model in evaluation mode up to its head.
    """

    learns_bias = True
    requires = ("bias",)

    def __init__(
        self,
        groups: Groups,
        model: nn.Module,
        *,
        strength: float = 1.0,
        warmup: int = 500,
        refit_from: int = 0,
    ) -> None:
        super().__init__()
        check_at_least(0, {"strength": strength}, of="BAdd")
        check_at_least(1, {"warmup": warmup}, of="BAdd")
        if 0 != refit_from <= warmup:
            raise InputError(
                f"refit_from must be 0 or greater than warmup={warmup} for BAdd; got {refit_from}"
            )
        self.strength, self.warmup, self.refit_from = strength, warmup, refit_from
        self.begins = {"refit_from": refit_from}
        self.network = twin(model, outputs=groups.biases)

    def turns(self, step: int) -> Sequence[Turn]:
        """One player per step: first the bias network, then the model, at the end only its head."""
        refits = 0 < self.refit_from <= step
        return (Turn("model", self.head_loss),) if refits else super().turns(step)

    def model_loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Task loss of the model, whose head reads the sum of its own and the bias features."""
        added = self.strength * _features(self.network, batch.image)
        outputs: Outputs = model(batch.image)
        loss = task_loss(_head(model)(outputs.features + added), batch)
        return Loss(loss, {"cross_entropy": loss.detach()})

    def head_loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Task loss of the head in stage 3, on the model's features in evaluation mode."""
        loss = task_loss(_head(model)(_features(model, batch.image)), batch)
        return Loss(loss, {"head_cross_entropy": loss.detach()})


@torch.no_grad()
def _features(network: nn.Module, image: Tensor) -> Tensor:
    with evaluating(network):
        outputs: Outputs = network(image)
    return outputs.features


def _head(model: nn.Module) -> nn.Module:
    head: nn.Module = model.get_submodule("head")
    return head
