"""Uniform confusion: the model makes an adversary's predictions uniform, in alternation."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import Parameter

from debias.errors import check_at_least
from debias.losses.confusion import confusion_losses
from debias.models.layers import read_layer, read_until
from debias.strategies.feature_adversary import Adversary
from debias.strategies.objectives import bias_loss, task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Turn


class UniformConfusion(Strategy):
    r"""Confuse an adversary of the bias; model and adversary move in turns.

    The model moves for ``every`` steps, then the adversary for ``adversary_turns * every``, and so
    on.

    .. math:: \text{model:}\; L_\text{task}(f(x), y)
              - \frac{\alpha}{B} \sum_d \log \mathrm{softmax}(A(h(x)))_d, \qquad
              \text{adversary:}\; \mathrm{CE}(A(h(x)), b)

    The model's turn leaves the adversary as it is, the adversary's the model (its batch statistics
    excepted, in training mode); the adversary's computes no further than the layer. A large
    :math:`\alpha` is served best by features that are constant: watch the accuracy.

    Source: Wang et al., "Towards Fairness in Visual Recognition: Effective Strategies for Bias
    Mitigation", CVPR 2020; reference code princetonvisualai/DomainBiasMitigation. The loss is that
    of Tzeng et al., ICCV 2015.

    Args:
        groups: the groups of the data; targets single- or multi-label, B >= 2 values of the bias.
        model: the classifier.
        image: ``(1, 3, H, W)`` float, for the shapes inside it.
        layer: dotted name of the layer that the adversary reads; ``None`` for the features of the
            classifier's head.
        feed: "pooled", "flattened" or "blocks", see
            :class:`debias.strategies.adversarial.Adversary`.
        strength: :math:`\alpha \ge 0`.
        every: steps of the model before the adversary takes over.
        adversary_turns: how many times as long the adversary then moves.
        hidden_size: units of the adversary's hidden layers.
        hidden_layers: how many there are; 0 leaves it linear.

    Raises:
        ValueError: ``strength`` is negative, ``every`` or ``adversary_turns`` below 1, or there is
            no such layer.

    Differs from the reference: there the players alternate by epoch (one for the model, two for the
    adversary), which is ``every`` = batches of an epoch; here by step, unless told so. Samples of
    unknown bias are confused as all the others, and left out of the adversary's loss.
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
        every: int = 1,
        adversary_turns: int = 2,
        hidden_size: int = 300,
        hidden_layers: int = 0,
    ) -> None:
        super().__init__()
        check_at_least(0, {"strength": strength}, of="UniformConfusion")
        counts = {"every": every, "adversary_turns": adversary_turns}
        check_at_least(1, counts, of="UniformConfusion")
        self.layer, self.strength = layer, strength
        self.every, self.adversary_turns = every, adversary_turns
        head = {"hidden_size": hidden_size, "hidden_layers": hidden_layers}
        self.adversary = Adversary(model, image, groups.biases, layer=layer, feed=feed, **head)

    def players(self, model: nn.Module) -> dict[str, list[Parameter]]:
        """The model, and its adversary."""
        return {"model": list(model.parameters()), "adversary": list(self.adversary.parameters())}

    def turns(self, step: int) -> Sequence[Turn]:
        """One player a step."""
        if step // self.every % (1 + self.adversary_turns) == 0:
            return (Turn("model", self.confuse),)
        return (Turn("adversary", self.identify),)

    def confuse(self, model: nn.Module, batch: Batch) -> Loss:
        """Objective of the model: the task, and predictions of the adversary that are uniform."""
        outputs, activation = read_layer(model, self.layer, batch.image)
        confusion = confusion_losses(self.adversary(activation)).mean()
        loss = task_loss(outputs.logits, batch) + self.strength * confusion
        return Loss(loss, {"confusion": confusion.detach()})

    def identify(self, model: nn.Module, batch: Batch) -> Loss:
        """Objective of the adversary: the bias, from activations that it does not change."""
        activation = read_until(model, self.layer, batch.image).detach()
        adversary = bias_loss(self.adversary(activation), batch.bias)
        return Loss(adversary, {"adversary": adversary.detach()})
