"""Bias amplification: trainable logit offsets per sample, so that the model learns the shortcut."""

import torch
from torch import nn
from torch.nn import Parameter

from debias.errors import check_at_least
from debias.losses.classification import classification_losses
from debias.strategies.objectives import task_loss
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss


class BiasAmplification(Strategy):
    r"""Add a trainable vector per training sample to the logits: the first stage of ``bam``.

    .. math:: L = \frac1N \sum_i \mathrm{CE}(f(x_i) + \lambda b_i,\, y_i)

    :math:`b_i` starts at 0 and soon predicts the class of sample i. The model f then learns only
    what most samples of a class have in common. Evaluation uses f without b. The recipe
    :class:`debias.recipes.bam.BAM` has this strategy as its first stage. Needs no bias labels.

    Source: Li, Liu, Hu, "Bias Amplification Enhances Minority Group Performance", TMLR 2024;
    reference code motivationss/BAM.

    Args:
        groups: the groups of the data, with single-label targets.
        samples: number of rows in the whole data set.
        strength: :math:`\lambda \ge 0`; 0 is ERM.

    Raises:
        ValueError: ``strength`` is negative.

    Differs from the reference: rows of the validation and test splits have a vector too, which is
    never updated.
    """

    single_label = True
    hard_targets = True

    def __init__(self, groups: Groups, samples: int, *, strength: float = 50.0) -> None:
        super().__init__(groups)
        check_at_least(0, {"strength": strength}, of="BiasAmplification")
        self.strength = strength
        self.offsets = Parameter(torch.zeros(samples, groups.outputs))

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Mean loss with the samples' vectors. The loss without them is logged."""
        logits = model(batch.image).logits
        loss = task_loss(logits + self.strength * self.offsets[batch.index], batch)
        plain = classification_losses(logits.detach(), batch.target)
        return Loss(loss, {"cross_entropy": plain.mean()})
