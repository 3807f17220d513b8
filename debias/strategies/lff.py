"""Learning from failure (LfF): give more weight to samples that a biased network gets wrong."""

import torch
from torch import Tensor, nn

from debias.errors import check_between
from debias.losses.classification import classification_losses
from debias.losses.generalized_cross_entropy import generalized_cross_entropy
from debias.losses.sample_memory import RelativeDifficulty
from debias.models.copies import twin
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss


class LfF(Strategy):
    r"""Weight the loss of a sample by how hard it is for a network that learns the shortcut.

    A biased network g and the model f are trained at the same time, on the same images.

    .. math:: L = \frac1N \sum_i \mathrm{GCE}_q(g(x_i), y_i)
              + \frac1N \sum_i W_i\, \mathrm{CE}(f(x_i), y_i)

    The weight :math:`W_i` (:class:`debias.losses.sample_memory.RelativeDifficulty`) compares moving
    averages of the cross-entropies of g and f on sample i. It is updated before it is used, has no
    gradient, and is large where g fails. The two sums share no parameter. So one optimiser on L
    updates each network as its own optimiser would, unless ``clip`` limits the norm of their joint
    gradient. Evaluation uses f alone. Needs no bias labels.

    Source: Nam et al., "Learning from Failure: Training Debiased Classifier from Biased
    Classifier", NeurIPS 2020; reference code alinlab/LfF.

    Args:
        groups: the groups of the data, with single-label targets.
        samples: number of rows in the whole data set.
        model: the classifier f; g starts as its copy, with a newly drawn head.
        q: exponent of the generalized cross-entropy (GCE), in (0, 1]. With larger values, g prefers
            easy samples more.
        scaled: use the GCE of the authors' code, whose gradient is q times that of the paper.
        momentum: momentum of the moving averages, in [0, 1); 0 compares the losses of the batch.
        separate_start: draw new weights for all of g, as the authors do for networks without
            pretrained weights; see :func:`debias.models.copies.twin`.

    Raises:
        ValueError: ``q`` is outside (0, 1], or ``momentum`` is outside [0, 1).

    Differs from the reference: without ``separate_start``, f and g start from the same weights,
    except for the head, even if the weights are random. There random weights are drawn separately
    for f and g. The code freezes all layers of pretrained networks except the last; here nothing is
    frozen. See :class:`debias.losses.sample_memory.SampleMemory` for repeated rows.
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
        separate_start: bool = False,
    ) -> None:
        super().__init__(groups)
        check_between("(0, 1]", {"q": q}, of="LfF")
        self.q, self.scaled = q, scaled
        self.network = twin(model, redrawn=separate_start)
        self.difficulty = RelativeDifficulty(samples, groups.rows, momentum=momentum)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """The loss L of both networks. Their cross-entropies and the mean weight are logged."""
        losses = classification_losses(model(batch.image).logits, batch.target)
        logits = self.network(batch.image).logits
        with torch.no_grad():
            biased_losses = classification_losses(logits, batch.target)
        weights = self.difficulty(biased_losses, losses.detach(), batch.index, batch.target)
        biased = self.biased_loss(logits, batch.target, batch.index)
        terms = {
            "cross_entropy": losses.mean().detach(),
            "biased_cross_entropy": biased_losses.mean(),
            "sample_weight": weights.mean(),
        }
        return Loss(biased + (weights * losses).mean(), terms)

    def biased_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """The loss of g: mean generalized cross-entropy.

        Args:
            logits: ``(N, C)`` float, of g.
            target: ``(N,)`` int64 class.
            index: ``(N,)`` int64 rows of the data set, for a loss that depends on them.
        """
        return generalized_cross_entropy(logits, target, q=self.q, scaled=self.scaled).mean()
