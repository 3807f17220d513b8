"""Learned-Mixin+H: the model learns what a frozen biased network leaves unexplained."""

from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from debias.errors import check_at_least
from debias.strategies.biased_network import BesideBiasedNetwork, biased_network
from debias.strategies.objectives import task_loss
from debias.types import Batch, Groups, Loss


class LearnedMixin(BesideBiasedNetwork):
    r"""Mix the logits with those of a frozen biased network, with a learnt trust in it.

    The model f learns in an ensemble with a frozen biased network g, which it may trust more or
    less.

    1. In the first ``warmup`` steps g alone moves, on :math:`\mathrm{CE}(g)`; then it is frozen.
    2. From then on f and a linear :math:`a` on its features z move on

    .. math:: \mathrm{CE}(f + c(z) \log p_g) + w\, H(\mathrm{softmax}(c(z) \log p_g)), \qquad
              c(z) = \mathrm{softplus}(a^\top z + b)

    In evaluation f stands alone. Needs no bias labels.

    Source: Clark, Yatskar, Zettlemoyer, "Don't Take the Easy Way Out: Ensemble Based Methods for
    Avoiding Known Dataset Biases", EMNLP 2019, as the baseline of Bahng et al., ICML 2020;
    reference code clovaai/rebias.

    Args:
        groups: the groups of the data; single-label.
        model: the classifier, for the size of its features.
        biased: architecture of g, see :data:`debias.models.small_receptive.NETWORKS`.
        warmup: steps in which the biased network is trained; at least 1. The published runs give it
            5 epochs of Biased-MNIST, which are to be added to the model's own.
        entropy_weight: w >= 0.

    Raises:
        ValueError: ``warmup`` is below 1, ``entropy_weight`` negative, or ``biased`` unknown.

    Differs from the reference: the frozen network is in evaluation mode (there its batch
    normalisation goes on moving); the factor is trained (there it never reaches the optimiser, see
    :class:`debias.strategies.rubi.RUBi`). Logits of g instead of log-probabilities, as there, give
    the same loss.
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
        """Objective of the model: classify together with the biased network, which is to be sure
        where it is used.
        """
        log_probabilities = F.log_softmax(self.biased_outputs(batch.image).logits.float(), dim=1)
        logits, features = model(batch.image)
        added = F.softplus(self.trust(features).float()) * log_probabilities
        error = task_loss(logits + added, batch)
        entropy = entropies(added).mean()
        terms = {"cross_entropy": error.detach(), "biased_entropy": entropy.detach()}
        return Loss(error + self.entropy_weight * entropy, terms)


def entropies(logits: Tensor) -> Tensor:
    r"""``(N,)`` entropy of each softmax, :math:`-\sum_c p_c \log p_c`, of ``(N, C)`` logits."""
    log_probabilities = F.log_softmax(logits, dim=1)
    return -(log_probabilities.exp() * log_probabilities).sum(dim=1)
