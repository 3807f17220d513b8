"""Published ways to refit a last layer on fixed features, as settings of the two fitters.

Features, classes and groups in, heads out. Held-out rows choose steps and settings, and are never
the test split.
"""

import torch
from torch import Tensor

from debias.errors import InputError
from debias.group_inference.focal import focal_weights
from debias.heads.descent import Descent, fit_heads
from debias.heads.linear import FittedHeads, Heads, Rows
from debias.heads.orders import balanced_order, shuffled_order
from debias.losses.balanced_weights import balanced_weights


def focal_heads(
    features: Tensor,
    target: Tensor,
    start: Heads,
    *,
    gamma: float | Tensor,
    start_penalty: float | Tensor,
    held_out: Rows,
    learning_rate: float | Tensor = 0.01,
    steps: int = 500,
    clip: float = 1.0,
    every: int = 1,
) -> FittedHeads:
    r"""AFR: more weight where the first stage doubts the class, and a pull towards its head.

    .. math:: L = \frac{1}{N} \sum_i w_i\, \mathrm{CE}_i + \lambda \|W - W_0\|^2, \qquad
              w_i \propto \frac{1}{n_{y_i}} \exp(-\gamma\, p_{i,y_i})

    on all rows at once. The weights are those of the head that it starts from, computed once.

    Source: Qiu et al., "Simple and Fast Group Robustness by Automatic Feature Reweighting", ICML
    2023; reference code AndPotap/afr. Defaults are its Waterbirds settings; gamma and the penalty
    are chosen on held-out rows, from grids.

    Args:
        features: ``(N, D)`` float, of rows that the first stage was not trained on, in evaluation
            mode.
        target: ``(N,)`` int64 class.
        start: the head of the first stage: one head.
        gamma: at least 0, a number or ``(H,)``; one head each.
        start_penalty: :math:`\lambda \ge 0`, a number or ``(H,)``. A grid of both:
            ``torch.cartesian_prod``.
        held_out: rows by whose worst-group accuracy the step of each head is chosen.
        learning_rate, steps, clip: of the descent.
        every: score at every so many steps.

    Returns:
        H heads; ``best`` is the position of the gamma and penalty to take.

    Raises:
        ValueError: more than one head to start from, or a number out of range.
    """
    if len(start.weights) != 1:
        raise InputError(f"focal weights come from one earlier head; got {len(start.weights)}")
    weights = focal_weights(start.logits(features)[0], target, gamma=gamma)
    descent = Descent(learning_rate, start_penalty=start_penalty, clip=clip)
    return fit_heads(
        features, target, start, descent=descent, batches=[None] * steps, sample_weights=weights,
        held_out=held_out, every=every,
    )  # fmt: skip


def balanced_heads(
    features: Tensor,
    target: Tensor,
    label: Tensor,
    start: Heads,
    generator: torch.Generator,
    *,
    steps: int,
    weighted: bool = False,
    held_out: Rows | None = None,
    every: int = 1,
    learning_rate: float | Tensor = 1e-3,
    weight_decay: float | Tensor = 1e-4,
    momentum: float = 0.9,
    batch_size: int = 108,
) -> FittedHeads:
    """CRT, ReWeightCRT, and class-balanced retraining: every group, or every class, counts alike.

    Balanced draws make every label equally likely; with weights, samples are drawn as they come and
    their losses weighted by the inverse frequency of their label.

    Source: Kang et al., "Decoupling Representation and Classifier for Long-Tailed Recognition",
    ICLR 2020; with groups, Yang et al., "Change is Hard", ICML 2023, reference code
    YyzHarry/SubpopBench, whose settings are the defaults (5,001 steps on Waterbirds, 30,001 on
    CelebA, training rows, fresh heads). Class-balanced retraining: LaBonte et al., NeurIPS 2023,
    reference code tmlabonte/last-layer-retraining: fresh heads, a learning rate of 3e-3 without
    momentum, batches of 32 on Waterbirds and 100 on CelebA, 100 epochs on half of the validation
    split.

    Args:
        features: ``(N, D)`` float, in evaluation mode.
        target: ``(N,)`` int64 class.
        label: ``(N,)`` int64, what is balanced: the group or the class; -1 is never drawn, or has
            weight 0.
        start: the heads to start from.
        generator: what the minibatches are drawn from.
        steps: how many steps.
        weighted: weigh the losses (ReWeightCRT) instead of drawing balanced minibatches (CRT).
        held_out: rows to choose each head's step by; without them the last is kept.
        every: score at every so many steps.
        learning_rate, weight_decay, momentum, batch_size: of the descent.

    Returns:
        H heads, one per start or setting; all see the same minibatches.

    Raises:
        ValueError: no row has a label, or a number out of range.

    Differs from the reference: the mean weight is one over the samples; there it is one over the
    groups.
    """
    sizes = {"batch_size": batch_size, "steps": steps}
    weights = None
    if weighted:
        known = label >= 0
        weights = torch.where(known, balanced_weights(torch.bincount(label[known]))[label], 0.0)
        order = shuffled_order(len(features), **sizes, generator=generator)
    else:
        order = balanced_order(label, **sizes, generator=generator)
    descent = Descent(learning_rate, momentum=momentum, weight_decay=weight_decay)
    return fit_heads(
        features, target, start, descent=descent, batches=order, sample_weights=weights,
        held_out=held_out, every=every,
    )  # fmt: skip


def selected_heads(
    features: Tensor,
    target: Tensor,
    chosen: Tensor,
    start: Heads,
    generator: torch.Generator,
    *,
    learning_rate: float | Tensor,
    held_out: Rows | None = None,
    steps: int = 250,
    batch_size: int = 32,
) -> FittedHeads:
    """SELF: a few class-balanced steps from the final head, on the samples that disagreement chose.

    Source: LaBonte et al., "Towards Last-Layer Retraining for Group Robustness with Fewer
    Annotations", NeurIPS 2023; reference code tmlabonte/last-layer-retraining. Defaults are its
    Waterbirds settings (CelebA: batches of 100). There 20, 100 or 500 samples of half of the
    validation split are chosen, and the learning rate is 1e-4, 1e-3 or 1e-2, by worst-group
    accuracy on the other half after the last step.

    Args:
        features: ``(N, D)`` float, of rows that the first stage was not trained on, in evaluation
            mode.
        target: ``(N,)`` int64 class.
        chosen: ``(K,)`` int64 positions, as ``largest_disagreement`` or ``largest_losses`` gives
            them.
        start: the final head.
        generator: what the minibatches are drawn from.
        learning_rate: a number or ``(H,)``; one head each.
        held_out: rows to score the heads on after the last step.
        steps, batch_size: of the descent; a batch is no larger than K.

    Returns:
        H heads; ``best`` is the position of the learning rate to take.

    Raises:
        ValueError: a number out of range.

    Differs from the reference: its network computes in training mode on augmented images, so that
    batch normalisation sees each batch and its averages move. There is no momentum in either: the
    code names one to an optimiser that has been made without.
    """
    features, target = features[chosen], target[chosen]
    return balanced_heads(
        features, target, target, start, generator, steps=steps, held_out=held_out, every=steps,
        learning_rate=learning_rate, momentum=0.0, batch_size=min(batch_size, len(chosen)),
    )  # fmt: skip
