"""Uniform confusion: train features for which an adversary's bias predictions are uniform."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import Parameter

from debias.errors import check_at_least
from debias.losses.confusion import confusion_losses
from debias.models.layers import read_layer, read_until
from debias.strategies.feature_adversary import Adversary
from debias.strategies.objectives import bias_loss, check_biases, occurring_biases, task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Turn


class UniformConfusion(Strategy):
    r"""Confuse an adversary that predicts the bias; model and adversary are trained alternately.

    The model is trained for ``every`` steps, then the adversary for ``adversary_turns * every``
    steps, and so on.

    .. math:: \text{model:}\; L_\text{task}(f(x), y)
              - \frac{\alpha}{B} \sum_d \log \mathrm{softmax}(A(h(x)))_d, \qquad
              \text{adversary:}\; \mathrm{CE}(A(h(x)), b)

    A is the adversary, and h the activation of ``layer``. A turn changes only its own player. The
    adversary's turn is in training mode, so it also updates the batch statistics of the model up to
    ``layer``; it computes no later layers. With a large :math:`\alpha`, constant features give the
    smallest loss: watch the accuracy.

    Source: Wang et al., "Towards Fairness in Visual Recognition: Effective Strategies for Bias
    Mitigation", CVPR 2020; reference code princetonvisualai/DomainBiasMitigation. The loss is that
    of Tzeng et al., ICCV 2015.

    Args:
        groups: the groups of the data, with B >= 2 bias values; targets may be single- or
            multi-label.
        model: the classifier.
        image: ``(1, 3, H, W)`` float, an example that gives the shapes inside the model.
        frequencies: ``(G,)`` number of training samples in each group. The adversary is to be
            confused about the bias values that have samples; ``None`` means all.
        layer: dotted name of the layer that the adversary reads; ``None`` for the features that the
            classifier's head reads.
        feed: "pooled", "flattened" or "blocks", see
            :class:`debias.strategies.feature_adversary.Adversary`.
        strength: :math:`\alpha \ge 0`.
        every: number of steps in a row that train the model.
        adversary_turns: the adversary is trained for this many times ``every`` steps in a row.
        hidden_size: units of the adversary's hidden layers.
        hidden_layers: number of the adversary's hidden layers; 0 gives a linear adversary.

    Raises:
        ValueError: ``strength`` is negative, ``every`` or ``adversary_turns`` is below 1, ``layer``
            or ``feed`` is unknown, or there is a single bias value.

    Differs from the reference: there the players alternate by epoch, one for the model and two for
    the adversary. To match it, set ``every`` to the number of batches per epoch; by default the
    players alternate by step. Samples of unknown bias are in the confusion term, but not in the
    adversary's loss.
    """

    requires = ("bias",)

    def __init__(
        self,
        groups: Groups,
        model: nn.Module,
        image: Tensor,
        frequencies: Tensor | None = None,
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
        check_biases(groups, "UniformConfusion")
        counts = {"every": every, "adversary_turns": adversary_turns}
        check_at_least(1, counts, of="UniformConfusion")
        self.layer, self.strength = layer, strength
        self.every, self.adversary_turns = every, adversary_turns
        head = {"hidden_size": hidden_size, "hidden_layers": hidden_layers}
        self.adversary = Adversary(model, image, groups.biases, layer=layer, feed=feed, **head)
        if hidden_layers:
            self.smallest_batch = 2  # the adversary has batch normalisation
        self.occurring = occurring_biases(groups, frequencies)

    def players(self, model: nn.Module) -> dict[str, list[Parameter]]:
        """Two players: the model and the adversary."""
        return {"model": list(model.parameters()), "adversary": list(self.adversary.parameters())}

    def turns(self, step: int) -> Sequence[Turn]:
        """One turn per step, of the model or of the adversary."""
        if step // self.every % (1 + self.adversary_turns) == 0:
            return (Turn("model", self.confuse),)
        return (Turn("adversary", self.identify),)

    def confuse(self, model: nn.Module, batch: Batch) -> Loss:
        """Loss of the model: task loss plus weighted confusion term, which is logged."""
        outputs, activation = read_layer(model, self.layer, batch.image)
        confusion = confusion_losses(self.adversary(activation)[:, self.occurring]).mean()
        loss = task_loss(outputs.logits, batch) + self.strength * confusion
        return Loss(loss, {"confusion": confusion.detach()})

    def identify(self, model: nn.Module, batch: Batch) -> Loss:
        """Loss of the adversary: cross-entropy to the bias, on activations without gradient."""
        activation = read_until(model, self.layer, batch.image).detach()
        adversary = bias_loss(self.adversary(activation), batch.bias)
        return Loss(adversary, {"adversary": adversary.detach()})
