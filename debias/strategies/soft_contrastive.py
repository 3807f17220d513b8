"""SoftCon: bias-contrastive learning without bias labels, by the features of a biased network."""

from torch import nn

from debias.errors import check_at_least, check_positive
from debias.losses import supervised_contrastive as contrastive
from debias.processes import joined_rows
from debias.strategies.biased_network import BesideBiasedNetwork, biased_network
from debias.strategies.objectives import task_loss
from debias.types import Batch, Groups, Loss, Outputs


class SoftContrastive(BesideBiasedNetwork):
    r"""Contrast features: positives that a biased network sees as different count more (SoftCon).

    The model f draws together the samples of a class, the more, the less alike a biased network g
    finds them.

    For each batch, in this order:

    1. g moves on :math:`\mathrm{CE}(g)`;
    2. f moves on

    .. math:: \frac{1}{m} \sum_i \ell_i + w\, \mathrm{CE}(f), \qquad
              w_{ij} = 1[y_j = y_i]\, (1 - \cos(g_i, g_j))

    with :math:`\ell_i` of
    :func:`debias.losses.supervised_contrastive.supervised_contrastive_losses` on the cosines of the
    features of f, weighted by the features :math:`g_i` of the moved g, which stands still, in
    evaluation mode; over the joined batch of all processes. In evaluation f stands alone. Needs no
    bias labels, but a g that sees the bias and not the class.

    Source: Hong & Yang, "Unbiased Classification through Bias-Contrastive and Bias-Balanced
    Learning" (SoftCon), NeurIPS 2021; reference code grayhong/bias-contrastive-learning.

    Args:
        groups: the groups of the data; single-label.
        biased: architecture of g, see :data:`debias.models.small_receptive.NETWORKS`.
        temperature: :math:`\tau > 0`.
        task_weight: :math:`w \ge 0`.

    Raises:
        ValueError: ``temperature`` is not positive, ``task_weight`` negative, or ``biased``
            unknown.

    Differs from the reference: g learns beside f; there its features are those of a network that
    was trained for the whole of a run before. Both losses are taken on the same batch, of one view
    of each image; there the contrast is on two views of a second batch, from a loader that draws
    samples whose features are rare in their class more often.
    """

    single_label = True
    hard_targets = True
    smallest_batch = 2  # a sample is contrasted with the others

    def __init__(
        self,
        groups: Groups,
        *,
        biased: str = "simple_conv_k1",
        temperature: float = 0.07,
        task_weight: float = 0.01,
    ) -> None:
        super().__init__(groups)
        check_positive({"temperature": temperature}, of="SoftContrastive")
        check_at_least(0, {"task_weight": task_weight}, of="SoftContrastive")
        self.temperature, self.task_weight = temperature, task_weight
        self.network = biased_network(groups, biased)

    def model_loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Objective of the model: weighted contrast and weighted task, which are logged."""
        # what two samples are to each other must not hang on the rest of the batch
        bias_features = self.biased_outputs(batch.image).features
        outputs: Outputs = model(batch.image)
        positive = contrastive.soft_positives(joined_rows(batch.target), joined_rows(bias_features))
        similarities = contrastive.cosine_similarities(joined_rows(outputs.features))
        contrast = contrastive.supervised_contrastive_losses(
            similarities, positive, temperature=self.temperature
        ).mean()
        task = task_loss(outputs.logits, batch)
        terms = {"contrast": contrast.detach(), "cross_entropy": task.detach()}
        return Loss(contrast + self.task_weight * task, terms, {"contrast": 1.0})
