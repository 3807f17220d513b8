"""Learned-Mixin+H: the model learns what a frozen biased network cannot explain.

H is the entropy term, which keeps the biased logits from being scaled down.
"""

from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from debias.errors import check_at_least
from debias.strategies.biased_network import BesideBiasedNetwork, biased_network
from debias.strategies.objectives import task_loss
from debias.types import Batch, Groups, Loss


class LearnedMixin(BesideBiasedNetwork):
    r"""Add the logits of a frozen biased network, scaled by a learnt factor per sample.

    1. In the first ``warmup`` steps, only the biased network g is trained, on
       :math:`\mathrm{CE}(g)`. Then g is frozen.
    2. After that, the model f and a linear layer :math:`a` on its features z are trained on

    .. math:: \mathrm{CE}(f + c(z) \log p_g) + w\, H(\mathrm{softmax}(c(z) \log p_g)), \qquad
              c(z) = \mathrm{softplus}(a^\top z + b)

    :math:`c(z)` is the trust in g for one sample, and H the entropy. Evaluation uses f alone. Needs
    no bias labels.

    Source: Clark, Yatskar, Zettlemoyer, "Don't Take the Easy Way Out: Ensemble Based Methods for
    Avoiding Known Dataset Biases", EMNLP 2019, as the baseline of Bahng et al., ICML 2020;
    reference code clovaai/rebias.

    Args:
        groups: the groups of the data, with single-label targets.
        model: the classifier; its ``feature_size`` is the input size of a.
        biased: architecture of g, see :data:`debias.models.small_receptive.NETWORKS`.
        warmup: number of steps that train g, at least 1. The published runs use 5 epochs of
            Biased-MNIST. Add the epochs of these steps to the epochs of the model.
        entropy_weight: w >= 0.

    Raises:
        ValueError: ``warmup`` is below 1, ``entropy_weight`` is negative, or ``biased`` is unknown.

    Differs from the reference: the frozen g is in evaluation mode; there its batch normalisation is
    still updated. The trust is trained; there the optimiser does not receive its parameters (see
    :class:`debias.strategies.rubi.RUBi`). The reference adds logits of g instead of
    log-probabilities, which gives the same loss.
    """

    single_label = True

    def __init__(
        self,
        groups: Groups,
        model: nn.Module,
        *,
        biased: str = "simple_conv_k1",
        warmup: int = 1175,
        entropy_weight: float = 0.36,
    ) -> None:
        super().__init__(groups)
        check_at_least(1, {"warmup": warmup}, of="LearnedMixin")
        check_at_least(0, {"entropy_weight": entropy_weight}, of="LearnedMixin")
        self.warmup, self.entropy_weight = warmup, entropy_weight
        self.network = biased_network(groups, biased)
        self.trust = nn.Linear(cast(int, model.feature_size), 1)

    def model_loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Task loss on the sum of both networks' logits, plus a weighted entropy; both are logged.

        The entropy is that of the biased network's part of the sum, so that this part is confident.
        """
        log_probabilities = F.log_softmax(self.biased_outputs(batch.image).logits.float(), dim=1)
        logits, features = model(batch.image)
        added = F.softplus(self.trust(features).float()) * log_probabilities
        error = task_loss(logits + added, batch)
        entropy = entropies(added).mean()
        terms = {"cross_entropy": error.detach(), "biased_entropy": entropy.detach()}
        return Loss(error + self.entropy_weight * entropy, terms)


def entropies(logits: Tensor) -> Tensor:
    r"""``(N,)`` entropy :math:`-\sum_c p_c \log p_c` of the softmax of ``(N, C)`` logits."""
    log_probabilities = F.log_softmax(logits, dim=1)
    return -(log_probabilities.exp() * log_probabilities).sum(dim=1)
