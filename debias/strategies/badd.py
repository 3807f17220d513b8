"""BAdd: the model is given the bias in training, so that it need not look for it."""

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

    1. In the first ``warmup`` steps a biased network g, of the model's architecture, learns the
       bias; then it is frozen.
    2. From then on the model moves on :math:`\mathrm{CE}(h(z + m\, z_g), y)`, with z and
       :math:`z_g` the features of model and biased network and h the model's head.
    3. From step ``refit_from`` on, if it is not 0, the head alone moves, on
       :math:`\mathrm{CE}(h(z), y)`.

    Evaluation reads :math:`h(z)`, which the head of stage 2 was never trained for: it may favour a
    class.

    Source: Sarridis et al., "BAdd: Bias Mitigation through Bias Addition", 2024; reference code
    mever-team/vb-mitigator.

    Args:
        groups: the groups of the data; targets single- or multi-label.
        model: the classifier, with a linear ``head``; the biased network starts from its weights.
        strength: m >= 0.
        warmup: steps in which the biased network is trained, at least 1: until its loss, which is
            logged, is low.
        refit_from: step at which stage 3 begins, after ``warmup``; 0 for never. The paper gives it
            20 epochs.

    Raises:
        ValueError: ``strength`` is negative, ``warmup`` below 1, or ``refit_from`` not after it.

    Differs from the reference: the biased network is trained here, first, on the bias labels of the
    training data, and has the architecture of the model, so that features agree in size; there it
    is brought along, and may be trained on other data. The reference code has no stage 3. In it,
    the model is in evaluation mode up to its head.
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
                f"refit_from={refit_from} leaves the model no step after warmup={warmup}: raise "
                "it, or 0"
            )
        self.strength, self.warmup, self.refit_from = strength, warmup, refit_from
        self.network = twin(model, outputs=groups.biases)

    def turns(self, step: int) -> Sequence[Turn]:
        """One player a step: first the biased network, then the model, its head in the end."""
        refits = 0 < self.refit_from <= step
        return (Turn("model", self.head_loss),) if refits else super().turns(step)

    def model_loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Objective of the model: the class, with the bias features given."""
        added = self.strength * _features(self.network, batch.image)
        outputs: Outputs = model(batch.image)
        loss = task_loss(_head(model)(outputs.features + added), batch)
        return Loss(loss, {"cross_entropy": loss.detach()})

    def head_loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Objective of the head in the end: the class, from features as they are in evaluation."""
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
