"""Domain-independent training: a head for every value of the bias, on shared features."""

from torch import Tensor, nn

from debias.errors import check_one_of
from debias.losses.domain_inference import head_average, head_probability
from debias.strategies.objectives import mean_where_known, task_losses
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Outputs

INFERENCES = ("logits", "probabilities")


class DomainIndependent(Strategy):
    r"""Train one head per bias value; at test time the heads are averaged.

    .. math:: L = \mathrm{CE}(f_{\cdot b}(x), y), \qquad
              \hat y = \arg\max_y \sum_b f_{yb}(x) \quad\text{or}\quad
              \arg\max_y \sum_b \mathrm{softmax}(f_{\cdot b}(x))_y

    A head sees one value of the bias alone, which is then of no use to tell classes apart. The
    model has a logit for every class and value of the bias; with several labels, the heads tell
    every label by itself.

    Source: Wang et al., "Towards Fairness in Visual Recognition: Effective Strategies for Bias
    Mitigation", CVPR 2020; reference code princetonvisualai/DomainBiasMitigation.

    Args:
        groups: the groups of the data; targets single- or multi-label.
        inference: "logits": the mean of the heads' logits decides, as their sum does;
            "probabilities": that of their probabilities.

    Raises:
        ValueError: an unknown ``inference``.

    Differs from the reference: logits are averaged and not summed, which decides alike and leaves
    probabilities that mean something. The losses of several labels are averaged; one version there
    sums them.
    """

    requires = ("bias",)

    def __init__(self, groups: Groups, *, inference: str = "logits") -> None:
        super().__init__()
        check_one_of(INFERENCES, {"inference": inference}, of="DomainIndependent")
        self.groups, self.inference = groups, inference

    @staticmethod
    def model_outputs(groups: Groups) -> int:
        """A logit for each class or label and value of the bias, those of a class side by side."""
        return groups.outputs * groups.biases

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Mean loss of the heads of the samples' own biases."""
        heads = self._heads(model(batch.image).logits)
        own = batch.bias.clamp(min=0).view(-1, 1, 1).expand(-1, heads.shape[1], 1)
        losses = task_losses(heads.gather(2, own).squeeze(2), batch)
        return Loss(mean_where_known(losses, batch.bias), {})

    def classify(self, model: nn.Module, image: Tensor) -> Outputs:
        """Logits of all heads together."""
        outputs: Outputs = model(image)
        heads = self._heads(outputs.logits)
        if self.inference == "logits":
            return Outputs(head_average(heads), outputs.features)
        return Outputs(
            head_probability(heads, multi_label=self.groups.multi_label), outputs.features
        )

    def _heads(self, logits: Tensor) -> Tensor:
        return logits.view(len(logits), self.groups.outputs, self.groups.biases)
