"""Domain-independent training: one head per bias value, on shared features."""

from torch import Tensor, nn

from debias.errors import check_one_of
from debias.losses.domain_inference import head_average, head_probability
from debias.strategies.objectives import mean_where_known, occurring_biases, task_losses
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Outputs

INFERENCES = ("logits", "probabilities")


class DomainIndependent(Strategy):
    r"""Train one head per bias value; at test time the heads are averaged.

    .. math:: L = \mathrm{CE}(f_{\cdot b}(x), y), \qquad
              \hat y = \arg\max_y \sum_b f_{yb}(x) \quad\text{or}\quad
              \arg\max_y \sum_b \mathrm{softmax}(f_{\cdot b}(x))_y

    All images that train a head have the same bias value, so the bias does not help to separate
    their classes. The model has one logit per pair of class and bias value. With several labels,
    each head predicts each label separately.

    Source: Wang et al., "Towards Fairness in Visual Recognition: Effective Strategies for Bias
    Mitigation", CVPR 2020; reference code princetonvisualai/DomainBiasMitigation.

    Args:
        groups: the groups of the data; targets may be single- or multi-label.
        frequencies: ``(G,)`` number of training samples in each group. The head of a bias value
            without training samples is never trained, and is left out at test time. ``None`` means
            that every bias value has samples.
        inference: "logits" averages the logits of the heads, "probabilities" their probabilities.

    Raises:
        ValueError: ``inference`` is unknown.

    Differs from the reference: logits are averaged instead of summed. The decisions are the same,
    and the probabilities are not overconfident. The losses of several labels are averaged; one
    version there sums them.
    """

    requires = ("bias",)

    def __init__(
        self, groups: Groups, frequencies: Tensor | None = None, *, inference: str = "logits"
    ) -> None:
        super().__init__()
        check_one_of(INFERENCES, {"inference": inference}, of="DomainIndependent")
        self.groups, self.inference = groups, inference
        self.trained = occurring_biases(groups, frequencies)

    @staticmethod
    def model_outputs(groups: Groups) -> int:
        """One logit per class (or label) and bias value; the logits of one class are adjacent."""
        return groups.outputs * groups.biases

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Mean loss of the samples with a bias label, each on the head of its bias value."""
        heads = self._heads(model(batch.image).logits)
        own = batch.bias.clamp(min=0).view(-1, 1, 1).expand(-1, heads.shape[1], 1)
        losses = task_losses(heads.gather(2, own).squeeze(2), batch)
        return Loss(mean_where_known(losses, batch.bias), {})

    def classify(self, model: nn.Module, image: Tensor) -> Outputs:
        """One logit per class or label, from the heads' average logits or probabilities."""
        outputs: Outputs = model(image)
        heads = self._heads(outputs.logits)[..., self.trained]
        if self.inference == "logits":
            return Outputs(head_average(heads), outputs.features)
        return Outputs(
            head_probability(heads, multi_label=self.groups.multi_label), outputs.features
        )

    def _heads(self, logits: Tensor) -> Tensor:
        return logits.view(-1, self.groups.outputs, self.groups.biases)
