"""LfF with disentangled features: a class encoder, a bias encoder, and swapped bias features."""

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
from debias.strategies.objectives import step_key
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Outputs, Turn


class Disentangled(Strategy):
    r"""Learn separate class and bias features, and swap the bias features between samples.

    Two encoders give the class features :math:`z_l` and the bias features :math:`z_b`. A classifier
    :math:`C_l` and a biased classifier :math:`C_b` read both, and each trains only its own encoder;
    sg stops the gradient.

    .. math:: L_\text{dis} &= W\, \mathrm{CE}(C_l([z_l; \mathrm{sg}\, z_b]), y)
              + \lambda_\text{dis}\, \mathrm{GCE}(C_b([\mathrm{sg}\, z_l; z_b]), y) \\
              L_\text{swap} &= W\, \mathrm{CE}(C_l([z_l; \mathrm{sg}\, \tilde z_b]), y)
              + \lambda_{\text{swap}_b}\,
              \mathrm{GCE}(C_b([\mathrm{sg}\, z_l; \tilde z_b]), \tilde y) \\
              L &= L_\text{dis} + \lambda_\text{swap} L_\text{swap}

    All terms are means over the batch. The tilde permutes the batch, so that bias features meet
    other classes. :math:`L_\text{swap}` is added from step ``swap_after`` on. W is the weight of
    LfF, computed from the losses without swap. One optimiser updates everything, since each term
    trains only one side. Evaluation uses :math:`C_l([z_l; z_b])`. Needs no bias labels.

    A linear layer on a concatenation is the sum of two linear layers, one per part. So the model is
    the encoder of :math:`z_l`, and its head is the part of :math:`C_l` for :math:`z_l`. ``context``
    is the part of :math:`C_l` for :math:`z_b`. In the same way, ``network`` and ``biased_context``
    form the other encoder and :math:`C_b`.

    Source: Lee et al., "Learning Debiased Representation via Disentangled Feature Augmentation",
    NeurIPS 2021; reference code kakaoenterprise/Learning-Debiased-Disentangled.

    Args:
        groups: the groups of the data, with single-label targets.
        samples: number of rows in the whole data set.
        model: the classifier; the bias encoder starts as its copy, with a newly drawn head.
        seed: seed of the run, which with the step determines the permutations.
        q: exponent of the generalized cross-entropy (GCE), in (0, 1].
        scaled: use the GCE of the authors' code, see
            :func:`debias.losses.generalized_cross_entropy.generalized_cross_entropy`.
        momentum: momentum of the moving averages in W, see
            :class:`debias.losses.sample_memory.SampleMemory`.
        swap_after: first step with swapped features; a shorter run swaps nothing.
        swap_weight: :math:`\lambda_\text{swap} \ge 0`.
        biased_weight: :math:`\lambda_\text{dis} \ge 0`.
        biased_swap_weight: :math:`\lambda_{\text{swap}_b} \ge 0`.
        separate_start: draw new weights for the bias encoder and each classifier, also for the
            head of the model, as one layer of 2 D inputs, with D the feature size. The authors do
            so for networks without pretrained weights; see :func:`debias.models.copies.twin`.

    Raises:
        ValueError: ``q`` is outside (0, 1], ``momentum`` is outside [0, 1), or ``swap_after`` or a
            weight is negative.

    Differs from the reference: seed and step determine the permutation, and each process permutes
    its own samples. Without ``separate_start``, both encoders start from the same weights, and each
    part of a classifier as a layer of D inputs. Swapping begins at step ``swap_after``; there one
    step later. The code selects the epoch on the *test* split; here the validation split selects.
    """

    single_label = True
    hard_targets = True

    def __init__(
        self,
        groups: Groups,
        samples: int,
        model: nn.Module,
        seed: int = 0,
        *,
        q: float = 0.7,
        scaled: bool = True,
        momentum: float = 0.7,
        swap_after: int = 10000,
        swap_weight: float = 1.0,
        biased_weight: float = 1.0,
        biased_swap_weight: float = 1.0,
        separate_start: bool = False,
    ) -> None:
        super().__init__(groups)
        weights = {"swap_weight": swap_weight, "biased_weight": biased_weight}
        weights["biased_swap_weight"] = biased_swap_weight
        check_at_least(0, weights | {"swap_after": swap_after}, of="Disentangled")
        check_between("(0, 1]", {"q": q}, of="Disentangled")
        self.q, self.scaled, self.seed, self.swap_after = q, scaled, seed, swap_after
        self.swap_weight, self.biased_weight = swap_weight, biased_weight
        self.biased_swap_weight = biased_swap_weight
        self.begins = {"swap_after": swap_after} if swap_weight else {}
        self.network = twin(model, redrawn=separate_start)
        size = cast(int, model.feature_size)
        self.context = nn.Linear(size, groups.outputs, bias=False)
        self.biased_context = nn.Linear(size, groups.outputs, bias=False)
        if separate_start:
            _draw_as_one(cast(nn.Linear, model.head), self.context)
            _draw_as_one(cast(nn.Linear, self.network.head), self.biased_context)
        self.difficulty = RelativeDifficulty(samples, groups.rows, momentum=momentum)

    def turns(self, step: int) -> Sequence[Turn]:
        """One turn that trains both sides; from ``swap_after`` on also on swapped features."""
        key = step_key(self.seed, step) if step >= self.swap_after else None
        return (Turn("model", partial(self.objective, key=key)),)

    def objective(self, model: nn.Module, batch: Batch, *, key: int | None = None) -> Loss:
        """The loss L of both sides.

        Args:
            model: the encoder and classifier of the class side.
            batch: a training batch.
            key: seed of the permutation that swaps bias features; ``None`` leaves the swap out.
        """
        class_side, bias_side = model(batch.image), self.network(batch.image)
        from_bias = self.context(bias_side.features.detach())
        from_class = self.biased_context(class_side.features.detach())
        losses = classification_losses(class_side.logits + from_bias, batch.target)
        biased = bias_side.logits + from_class
        with torch.no_grad():
            biased_losses = classification_losses(biased, batch.target)
        weights = self.difficulty(biased_losses, losses.detach(), batch.index, batch.target)
        biased_loss = self.biased_loss(biased, batch.target, batch.index)
        total = (weights * losses).mean() + self.biased_weight * biased_loss
        terms = {
            "cross_entropy": losses.mean().detach(),
            "biased_cross_entropy": biased_losses.mean(),
        }
        if key is not None:
            order = permutation(len(losses), key=key).to(losses.device)
            swapped = classification_losses(class_side.logits + from_bias[order], batch.target)
            biased_swap = self.biased_loss(
                bias_side.logits[order] + from_class, batch.target[order], batch.index[order]
            )
            total = total + self.swap_weight * (
                (weights * swapped).mean() + self.biased_swap_weight * biased_swap
            )
            terms["swapped_cross_entropy"] = swapped.mean().detach()
        return Loss(total, terms | {"sample_weight": weights.mean()})

    def classify(self, model: nn.Module, image: Tensor) -> Outputs:
        """Logits of the classifier C_l on both feature vectors; the features are [z_l; z_b]."""
        class_side, bias_side = model(image), self.network(image)
        logits = class_side.logits + without_autocast(self.context, bias_side.features)
        return Outputs(logits, torch.cat([class_side.features, bias_side.features], dim=1))

    def biased_loss(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """The loss of the biased classifier: mean generalized cross-entropy.

        Args:
            logits: ``(N, C)`` float, of the biased classifier.
            target: ``(N,)`` int64 class of the samples whose bias features it reads.
            index: ``(N,)`` int64 rows of these samples, for a loss that depends on them.
        """
        return generalized_cross_entropy(logits, target, q=self.q, scaled=self.scaled).mean()


@torch.no_grad()
def _draw_as_one(head: nn.Linear, context: nn.Linear) -> None:
    """Draw new weights for the two parts of a linear layer on a concatenation, as for one layer."""
    whole = nn.Linear(head.in_features + context.in_features, head.out_features)
    own, other = torch.split(whole.weight, head.in_features, dim=1)
    rows = len(head.weight)  # a single one for two classes, if the model has one logit
    head.weight.copy_(own[:rows])
    context.weight.copy_(other)
    if head.bias is not None:
        head.bias.copy_(whole.bias[:rows])


def permutation(count: int, *, key: int) -> Tensor:
    """``(count,)`` int64 permutation of 0 to ``count - 1``, on the CPU; the key is its seed."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(key))
