"""LfF with disentangled features: one encoder for the class, one for the bias, swapped."""

from collections.abc import Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from debias.errors import check_at_least, check_between
from debias.losses.classification import classification_losses
from debias.losses.generalized_cross_entropy import generalized_cross_entropy
from debias.losses.sample_memory import RelativeDifficulty
from debias.models.copies import twin
from debias.models.layers import without_autocast
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Outputs, Turn


class Disentangled(Strategy):
    r"""Learn features of class and of bias apart, and swap the bias features between samples.

    Two encoders give z = [z_l; z_b]; a classifier C_l and a biased C_b read both, and each trains
    its own half.

    .. math:: L_\text{dis} &= W\, \mathrm{CE}(C_l([z_l; \mathrm{sg}\, z_b]), y)
              + \lambda_\text{dis}\, \mathrm{GCE}(C_b([\mathrm{sg}\, z_l; z_b]), y) \\
              L_\text{swap} &= W\, \mathrm{CE}(C_l([z_l; \mathrm{sg}\, \tilde z_b]), y)
              + \lambda_{\text{swap}_b}\,
              \mathrm{GCE}(C_b([\mathrm{sg}\, z_l; \tilde z_b]), \tilde y) \\
              L &= L_\text{dis} + \lambda_\text{swap} L_\text{swap}

    as means over the batch; the tilde permutes the batch, so that a bias meets other classes.
    :math:`L_\text{swap}` joins after ``swap_after`` steps. W is that of LfF, from the unswapped
    losses. One optimiser moves everything, as the terms of either side reach its own parameters
    alone. In evaluation :math:`C_l([z_l; z_b])` is read. Needs no bias labels.

    A linear layer on a concatenation is the sum of one layer on each part. So the model is the
    encoder of z_l, its own head the part of C_l that reads z_l, and ``context`` the part that reads
    z_b; likewise for C_b, the other way round.

    Source: Lee et al., "Learning Debiased Representation via Disentangled Feature Augmentation",
    NeurIPS 2021; reference code kakaoenterprise/Learning-Debiased-Disentangled.

    Args:
        groups: the groups of the data; single-label.
        samples: rows of the whole data set.
        model: the classifier; the bias encoder starts as its copy, with a newly drawn head.
        q: of the generalized cross-entropy, in (0, 1].
        scaled: the code's form of it, see
            :func:`debias.losses.generalized_cross_entropy.generalized_cross_entropy`.
        momentum: of the moving averages, see :class:`debias.losses.sample_memory.SampleMemory`.
        swap_after: steps before the swap; in a run that is shorter, nothing is swapped.
        swap_weight: :math:`\lambda_\text{swap} \ge 0`.
        biased_weight: :math:`\lambda_\text{dis} \ge 0`.
        biased_swap_weight: :math:`\lambda_{\text{swap}_b} \ge 0`.

    Raises:
        ValueError: ``q`` is outside (0, 1], ``momentum`` outside [0, 1), or ``swap_after`` or a
            weight negative.

    Differs from the reference: the permutation follows from the step, and is drawn in each process
    for its own samples; the encoders start alike (there from two draws), heads as PyTorch draws a
    layer of their inputs, there as one of twice as many; swapping begins at its step, there at the
    next one. The code keeps the epoch that is best on the *test* split; here the validation split
    selects.
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
        swap_after: int = 10000,
        swap_weight: float = 1.0,
        biased_weight: float = 1.0,
        biased_swap_weight: float = 1.0,
    ) -> None:
        super().__init__(groups)
        weights = {"swap_weight": swap_weight, "biased_weight": biased_weight}
        weights["biased_swap_weight"] = biased_swap_weight
        check_at_least(0, weights | {"swap_after": swap_after}, of="Disentangled")
        check_between("(0, 1]", {"q": q}, of="Disentangled")
        self.q, self.scaled, self.swap_after = q, scaled, swap_after
        self.swap_weight, self.biased_weight = swap_weight, biased_weight
        self.biased_swap_weight = biased_swap_weight
        self.network = twin(model)
        size = cast(int, model.feature_size)
        self.context = nn.Linear(size, groups.outputs, bias=False)
        self.biased_context = nn.Linear(size, groups.outputs, bias=False)
        self.difficulty = RelativeDifficulty(samples, groups.rows, momentum=momentum)

    def turns(self, step: int) -> Sequence[Turn]:
        """All move at once; from ``swap_after`` on, also on swapped features."""
        key = step if step >= self.swap_after else None
        return (Turn("model", partial(self.objective, key=key)),)

    def objective(self, model: nn.Module, batch: Batch, *, key: int | None = None) -> Loss:
        """Objective of both sides; a key draws a permutation, and swapped features count too."""
        own, other = model(batch.image), self.network(batch.image)
        from_bias = self.context(other.features.detach())
        from_class = self.biased_context(own.features.detach())
        losses = classification_losses(own.logits + from_bias, batch.target)
        biased = other.logits + from_class
        with torch.no_grad():
            biased_losses = classification_losses(biased, batch.target)
        weights = self.difficulty(biased_losses, losses.detach(), batch.index, batch.target)
        biased_loss = self._biased_loss(biased, batch.target)
        total = (weights * losses).mean() + self.biased_weight * biased_loss
        terms = {
            "cross_entropy": losses.mean().detach(),
            "biased_cross_entropy": biased_losses.mean(),
        }
        if key is not None:
            order = permutation(len(losses), key=key).to(losses.device)
            swapped = classification_losses(own.logits + from_bias[order], batch.target)
            biased_swap = self._biased_loss(other.logits[order] + from_class, batch.target[order])
            total = total + self.swap_weight * (
                (weights * swapped).mean() + self.biased_swap_weight * biased_swap
            )
            terms["swapped_cross_entropy"] = swapped.mean().detach()
        return Loss(total, terms | {"sample_weight": weights.mean()})

    def classify(self, model: nn.Module, image: Tensor) -> Outputs:
        """The class as C_l reads it from both halves; the features are [z_l; z_b]."""
        own, other = model(image), self.network(image)
        logits = own.logits + without_autocast(self.context, other.features)
        return Outputs(logits, torch.cat([own.features, other.features], dim=1))

    def _biased_loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return generalized_cross_entropy(logits, target, q=self.q, scaled=self.scaled).mean()


def permutation(count: int, *, key: int) -> Tensor:
    """``(count,)`` int64: the numbers from 0, in an order that follows from the key; on the CPU."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(key))
