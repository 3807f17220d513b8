"""Learning from failure: a network that takes the shortcut shows which samples to learn from."""

import torch
from torch import nn

from debias.errors import check_between
from debias.losses.classification import classification_losses
from debias.losses.generalized_cross_entropy import generalized_cross_entropy
from debias.losses.sample_memory import RelativeDifficulty
from debias.models.copies import twin
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss


class LfF(Strategy):
    r"""Weight the loss of a sample by how hard it is for a network that learns the shortcut.

    A biased network g and the model f learn at once, from the same images, on one sum.

    .. math:: L = \frac1N \sum_i \mathrm{GCE}_q(g(x_i), y_i)
              + \frac1N \sum_i W_i\, \mathrm{CE}(f(x_i), y_i)

    The weight W (:class:`debias.losses.sample_memory.RelativeDifficulty`) compares what either
    network's cross-entropies of a sample have been lately; it moves first, carries no gradient, and
    is large where g fails. The two sums share no parameter, so one optimiser on L moves either
    network as an optimiser of its own would, unless ``clip`` bounds their common gradient. g is not
    used in evaluation. Needs no bias labels.

    Source: Nam et al., "Learning from Failure: Training Debiased Classifier from Biased
    Classifier", NeurIPS 2020; reference code alinlab/LfF.

    Args:
        groups: the groups of the data; single-label.
        samples: rows of the whole data set.
        model: the classifier f; g starts as its copy, with a newly drawn head.
        q: of the generalized cross-entropy, in (0, 1]; the greater, the more g prefers what is
            easy.
        scaled: the code's form of it, whose gradient is q times that of the paper's.
        momentum: in [0, 1), of the moving averages; 0 compares the losses of the batch.

    Raises:
        ValueError: ``q`` is outside (0, 1], or ``momentum`` outside [0, 1).

    Differs from the reference: a model of new weights shares all of them but the head's with g at
    the start, where two draws are made there. The code freezes all but the last layer of pretrained
    networks; nothing is frozen here. See :class:`debias.losses.sample_memory.SampleMemory` for
    repeated rows.
    """

    single_label = True
    hard_targets = True

    def __init__(
        self,
        groups: Groups,
        samples: int,
        model: nn.Module,
        *,
        q: float = 0.7,
        scaled: bool = True,
        momentum: float = 0.7,
    ) -> None:
        super().__init__(groups)
        check_between("(0, 1]", {"q": q}, of="LfF")
        self.q, self.scaled = q, scaled
        self.network = twin(model)
        self.difficulty = RelativeDifficulty(samples, groups.rows, momentum=momentum)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Objective of both networks."""
        losses = classification_losses(model(batch.image).logits, batch.target)
        logits = self.network(batch.image).logits
        with torch.no_grad():
            biased_losses = classification_losses(logits, batch.target)
        weights = self.difficulty(biased_losses, losses.detach(), batch.index, batch.target)
        amplified = generalized_cross_entropy(logits, batch.target, q=self.q, scaled=self.scaled)
        terms = {
            "cross_entropy": losses.mean().detach(),
            "biased_cross_entropy": biased_losses.mean(),
            "sample_weight": weights.mean(),
        }
        return Loss(amplified.mean() + (weights * losses).mean(), terms)
