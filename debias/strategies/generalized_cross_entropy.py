"""Generalized cross-entropy: train mainly on samples that are classified well already."""

from torch import nn

from debias.errors import check_between
from debias.losses.generalized_cross_entropy import generalized_cross_entropy
from debias.strategies.objectives import weighted
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss


class GeneralizedCrossEntropy(Strategy):
    """Give more weight to samples that are already classified well, which amplifies a shortcut.

    The loss is the mean of
    :func:`debias.losses.generalized_cross_entropy.generalized_cross_entropy`. It was made for noisy
    labels. LfF and its successors train their biased networks with it. Needs no bias labels.

    Source: Zhang & Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with
    Noisy Labels", NeurIPS 2018.

    Args:
        groups: the groups of the data, with single-label targets.
        q: exponent in (0, 1]; near 0, the loss is cross-entropy.
        scaled: use the form of the code of LfF, whose gradient is q times that of the paper.

    Raises:
        ValueError: ``q`` is outside (0, 1].
    """

    single_label = True
    hard_targets = True

    def __init__(self, groups: Groups, *, q: float = 0.7, scaled: bool = True) -> None:
        super().__init__(groups)
        check_between("(0, 1]", {"q": q}, of="GeneralizedCrossEntropy")
        self.q, self.scaled = q, scaled

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Mean generalized cross-entropy of the batch."""
        logits = model(batch.image).logits
        losses = generalized_cross_entropy(logits, batch.target, q=self.q, scaled=self.scaled)
        return Loss(weighted(losses, batch).mean(), {})
