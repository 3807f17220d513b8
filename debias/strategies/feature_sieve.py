"""Feature sieve: make early layers forget the features that a small head learns first."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import Parameter
from torch.nn.modules.batchnorm import _BatchNorm

from debias.errors import check_at_least, check_positive
from debias.losses.confusion import confusion_losses
from debias.models import layers
from debias.models.heads import ResidualHead
from debias.strategies.objectives import task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Turn


class FeatureSieve(Strategy):
    r"""Make early layers forget what an auxiliary head can read from them.

    :math:`h` is the activation of an early layer, :math:`A` the auxiliary head, and K the number of
    classes; sg stops the gradient. At each step, in this order:

    1. *auxiliary* is trained on :math:`w_a\, \mathrm{CE}(A(\mathrm{sg}[h]), y)`;
    2. every ``forget_every`` steps, from the first step on, *early* is trained on
       :math:`-\frac{w_f}{K} \sum_k \log \mathrm{softmax}(A(h))_k`, through the updated head.
       *early* owns the parameters that h depends on, with an optimiser of its own;
    3. *model* (all its parameters) is trained on :math:`w_m\, \mathrm{CE}(f(x), y)`.

    ``joint`` adds the three terms up to one loss of one player. Each term has the same gradient as
    above: the first for A, the second for the early parameters, the third for the model. Needs no
    bias labels. The head is not used in evaluation. The first two turns compute only the layers up
    to h. If the layer is too early or the step too large, the model also forgets features that it
    needs: watch the training loss.

    The method helps if the auxiliary head can read the shortcut at that layer, but not the class.
    In such a toy, the worst-group accuracy was 0.99 (mean of three seeds); ERM had 0.31. On drawn
    birds and on Waterbirds at 128 pixels it did not help (figures in ``experiments``). A new
    attacker still finds the shortcut in the layer, but the model relies on it less.

    Source: Tiwari & Shenoy, "Overcoming Simplicity Bias in Deep Networks using a Feature Sieve",
    ICML 2023; reference code google-research/sifer.

    Args:
        groups: the groups of the data; targets may be single- or multi-label.
        model: the classifier.
        image: ``(1, 3, H, W)`` float, an example that gives the shapes inside the model.
        layer: dotted name of the early layer, as in timm ("layer1", "stages.0", "blocks.2").
        depth: number of residual blocks in the auxiliary head.
        width: channels of these blocks.
        forget_every: number of steps from one turn of *early* to the next, at least 1.
        frozen_statistics: keep the model's batch normalisation in evaluation mode, as the code
            does. It uses the statistics of the pretrained model; only its weights are trained. Do
            not set it for a model with random weights.
        joint: one summed loss (the paper's text) instead of three optimisers (its code).
        main_weight: :math:`w_m > 0`.
        auxiliary_weight: :math:`w_a > 0`.
        forget_weight: :math:`w_f \ge 0`.

    Raises:
        ValueError: ``forget_every`` is below 1, ``main_weight`` or ``auxiliary_weight`` is not
            positive, ``forget_weight`` is negative, or ``layer`` is unknown.

    Differs from the reference: every player has the optimiser of the run, unless ``players`` sets
    others. There *auxiliary* and *early* have ten times the learning rate of the model, and *early*
    has neither momentum nor weight decay, as in the config ``waterbirds/feature_sieve``. Batch
    normalisation is in training mode unless ``frozen_statistics``. The statistics of the early
    layers are then updated in each turn. Both forms have the weights of the paper's summed loss.
    Several labels are forgotten label by label. The paper does not say whether its auxiliary loss
    also trains the layers below; here it does not, as in the code.
    """

    def __init__(
        self,
        groups: Groups,
        model: nn.Module,
        image: Tensor,
        *,
        layer: str = "layer1",
        depth: int = 2,
        width: int = 256,
        forget_every: int = 5,
        frozen_statistics: bool = False,
        joint: bool = False,
        main_weight: float = 1.0,
        auxiliary_weight: float = 1.0,
        forget_weight: float = 1.0,
    ) -> None:
        super().__init__()
        check_at_least(1, {"forget_every": forget_every}, of="FeatureSieve")
        weights = {"main_weight": main_weight, "auxiliary_weight": auxiliary_weight}
        check_positive(weights, of="FeatureSieve")
        check_at_least(0, {"forget_weight": forget_weight}, of="FeatureSieve")
        self.layer, self.forget_every = layer, forget_every
        self.joint, self.multi_label = joint, groups.multi_label
        self.frozen_statistics = frozen_statistics
        self.main_weight, self.auxiliary_weight = main_weight, auxiliary_weight
        self.forget_weight = forget_weight
        self.auxiliary = ResidualHead(
            layers.layer_shape(model, layer, image), groups.outputs, width=width, depth=depth
        )
        self.early = layers.early_parameters(model, layer, image)

    def players(self, model: nn.Module) -> dict[str, list[Parameter]]:
        """The model. Unless ``joint``, also the auxiliary head and the early parameters."""
        if self.joint:
            return super().players(model)
        early = [layers.unwrapped(model).get_parameter(name) for name in self.early]
        return {
            "auxiliary": list(self.auxiliary.parameters()),
            "early": early,
            "model": list(model.parameters()),
        }

    def turns(self, step: int) -> Sequence[Turn]:
        """Train the auxiliary head, make the early layers forget if due, then train the model."""
        forgets = step % self.forget_every == 0
        if self.joint:
            return (Turn("model", partial(self.summed, forgets)),)
        forget = (Turn("early", self.forget),) if forgets else ()
        return (Turn("auxiliary", self.identify), *forget, Turn("model", self.train_model))

    def identify(self, model: nn.Module, batch: Batch) -> Loss:
        """Task loss of the auxiliary head, on an activation without gradient."""
        with self._statistics_of(model):
            activation = layers.read_until(model, self.layer, batch.image).detach()
        loss = task_loss(self.auxiliary(activation), batch)
        return Loss(self.auxiliary_weight * loss, {"auxiliary": loss.detach()})

    def forget(self, model: nn.Module, batch: Batch) -> Loss:
        """Loss of the early layers: small if the auxiliary head's predictions are uniform."""
        with self._statistics_of(model):
            activation = layers.read_until(model, self.layer, batch.image)
        loss = self._confusion(self.auxiliary(activation))
        return Loss(self.forget_weight * loss, {"forget": loss.detach()})

    def train_model(self, model: nn.Module, batch: Batch) -> Loss:
        """Task loss of the whole model."""
        with self._statistics_of(model):
            logits = model(batch.image).logits
        loss = task_loss(logits, batch)
        return Loss(self.main_weight * loss, {"main": loss.detach()})

    def summed(self, forgets: bool, model: nn.Module, batch: Batch) -> Loss:
        """Weighted sum of the losses of all turns of a step, from one forward pass."""
        with self._statistics_of(model):
            outputs, activation = layers.read_layer(model, self.layer, batch.image)
        main = task_loss(outputs.logits, batch)
        auxiliary = task_loss(self.auxiliary(activation.detach()), batch)
        total = self.main_weight * main + self.auxiliary_weight * auxiliary
        terms = {"main": main.detach(), "auxiliary": auxiliary.detach()}
        if forgets:
            frozen = {
                name: parameter.detach() for name, parameter in self.auxiliary.named_parameters()
            }
            loss = self._confusion(functional_call(self.auxiliary, frozen, (activation,)))
            total, terms = total + self.forget_weight * loss, terms | {"forget": loss.detach()}
        return Loss(total, terms)

    def _statistics_of(self, model: nn.Module) -> AbstractContextManager[None]:
        return layers.evaluating(model, _BatchNorm) if self.frozen_statistics else nullcontext()

    def _confusion(self, logits: Tensor) -> Tensor:
        return confusion_losses(logits, multi_label=self.multi_label).mean()
