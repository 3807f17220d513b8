"""SoftCon: bias-contrastive learning with the features of a biased network for bias labels."""

from torch import nn

from debias.errors import check_at_least, check_positive
from debias.losses import supervised_contrastive as contrastive
from debias.processes import joined_rows
from debias.strategies.biased_network import BesideBiasedNetwork, biased_network
from debias.strategies.objectives import task_loss
from debias.types import Batch, Groups, Loss, Outputs


class SoftContrastive(BesideBiasedNetwork):
    r"""Contrast features: positives that a biased network sees as different count more (SoftCon).

    The model f pulls samples of a class together. The pull is stronger for pairs that a biased
    network g sees as different. For each batch, in this order:

    1. g is trained on :math:`\mathrm{CE}(g)`;
    2. f is trained on

    .. math:: \frac{1}{m} \sum_i \ell_i + w\, \mathrm{CE}(f), \qquad
              w_{ij} = 1[y_j = y_i]\, (1 - \cos(g_i, g_j))

    :math:`\ell_i` is :func:`debias.losses.supervised_contrastive.supervised_contrastive_losses` on
    the feature cosines of f, with the weights :math:`w_{ij}`. The features :math:`g_i` are those of
    the updated g in evaluation mode. Both use the joined batch of all processes. Evaluation uses f
    alone. Needs no bias labels, but g must learn the bias and not the class.

    Source: Hong & Yang, "Unbiased Classification through Bias-Contrastive and Bias-Balanced
    Learning" (SoftCon), NeurIPS 2021; reference code grayhong/bias-contrastive-learning.

    Args:
        groups: the groups of the data, with single-label targets.
        biased: architecture of g, see :data:`debias.models.small_receptive.NETWORKS`.
        temperature: :math:`\tau > 0`.
        task_weight: :math:`w \ge 0`.

    Raises:
        ValueError: ``temperature`` is not positive, ``task_weight`` is negative, or ``biased`` is
            unknown.

    Differs from the reference: g is trained together with f; there g comes from a separate earlier
    run. Both losses use the same batch, with one view per image. The reference contrasts two views
    of a second batch, from a loader that draws samples with rare features in their class more
    often.
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
        """Loss of the model: contrastive loss plus weighted task loss; both are logged."""
        # evaluation mode: the weight of a pair must not depend on the other samples of the batch
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
