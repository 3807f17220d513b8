"""Published methods that refit a last layer on fixed features, as settings of ``fit_heads``.

Held-out rows select steps and settings. They must never be the test split.
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
    r"""AFR: refit a head with more weight on samples that the first stage predicts badly.

    .. math:: L = \frac{1}{N} \sum_i w_i\, \mathrm{CE}_i + \lambda \|W - W_0\|^2, \qquad
              w_i \propto \frac{1}{n_{y_i}} \exp(-\gamma\, p_{i,y_i})

    The penalty pulls the head towards its start :math:`W_0`. Every step uses all rows. The
    probabilities p are those of the head ``start``, computed once.

    Source: Qiu et al., "Simple and Fast Group Robustness by Automatic Feature Reweighting", ICML
    2023; reference code AndPotap/afr. Defaults are its Waterbirds settings. The authors choose
    gamma and the penalty from grids, on held-out rows.

    Args:
        features: ``(N, D)`` float, computed in evaluation mode, of rows that the first stage was
            not trained on.
        target: ``(N,)`` int64 class.
        start: the head of the first stage, a single one.
        gamma: :math:`\gamma \ge 0`, a number, or ``(H,)`` with one per head.
        start_penalty: :math:`\lambda \ge 0`, a number, or ``(H,)`` with one per head. For a grid of
            both, use ``torch.cartesian_prod``.
        held_out: rows whose worst-group accuracy selects the step of each head.
        learning_rate, steps, clip: settings of the descent.
        every: number of steps between two scorings of the heads.

    Returns:
        H heads; ``best`` is the index of the best gamma and penalty.

    Raises:
        ValueError: ``start`` holds several heads, ``gamma`` or ``start_penalty`` is negative, or
            ``learning_rate``, ``steps``, ``clip`` or ``every`` is not positive.
    """
    if len(start.weights) != 1:
        raise InputError(f"start must be one earlier head; got {len(start.weights)} heads")
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
    """CRT, ReWeightCRT and class-balanced retraining: fit heads with each group or class balanced.

    Minibatches are drawn so that every label is equally likely. With ``weighted``, minibatches are
    shuffled rows, and each loss is weighted by the inverse frequency of its label.

    Source: Kang et al., "Decoupling Representation and Classifier for Long-Tailed Recognition",
    ICLR 2020; with groups, Yang et al., "Change is Hard", ICML 2023, reference code
    YyzHarry/SubpopBench, whose settings are the defaults (5,001 steps on Waterbirds, 30,001 on
    CelebA, training rows, fresh heads). Class-balanced retraining: LaBonte et al., NeurIPS 2023,
    reference code tmlabonte/last-layer-retraining: fresh heads, a learning rate of 3e-3 without
    momentum, batches of 32 on Waterbirds and 100 on CelebA, 100 epochs on half of the validation
    split.

    Args:
        features: ``(N, D)`` float, computed in evaluation mode.
        target: ``(N,)`` int64 class.
        label: ``(N,)`` int64 label to balance, the group or the class. Rows of -1 are never drawn,
            or have weight 0.
        start: heads to start from.
        generator: source of the minibatches.
        steps: number of steps.
        weighted: weight the losses (ReWeightCRT) instead of drawing balanced minibatches (CRT).
        held_out: rows that select the step of each head; without them, the last step is used.
        every: number of steps between two scorings of the heads.
        learning_rate, weight_decay, momentum, batch_size: settings of the descent.

    Returns:
        H heads, one per start or setting; all see the same minibatches.

    Raises:
        ValueError: no row has a label, ``learning_rate`` is not positive, ``momentum`` is outside
            [0, 1), ``weight_decay`` is negative, or ``steps``, ``batch_size`` or ``every`` is below
            1.

    Differs from the reference: the weights have a mean of one over the samples (there over the
    groups).
    """
    sizes = {"batch_size": batch_size, "steps": steps}
    weights = None
    if weighted:
        labelled = label >= 0
        label_weights = balanced_weights(torch.bincount(label[labelled]))
        weights = torch.where(labelled, label_weights[label], 0.0)
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
    """SELF: a few class-balanced steps from the final head, on samples that models disagree on.

    Source: LaBonte et al., "Towards Last-Layer Retraining for Group Robustness with Fewer
    Annotations", NeurIPS 2023; reference code tmlabonte/last-layer-retraining. Defaults are its
    Waterbirds settings (CelebA: batches of 100). The reference selects 20, 100 or 500 samples from
    half of the validation split, and a learning rate of 1e-4, 1e-3 or 1e-2. Worst-group accuracy on
    the other half, after the last step, decides between these values.

    Args:
        features: ``(N, D)`` float, computed in evaluation mode, of rows that the first stage was
            not trained on.
        target: ``(N,)`` int64 class.
        chosen: ``(K,)`` int64 rows of the samples, such as those of ``largest_disagreement`` or
            ``largest_losses``.
        start: the final head of the first stage.
        generator: source of the minibatches.
        learning_rate: a number, or ``(H,)`` with one per head.
        held_out: rows that score the heads after the last step.
        steps, batch_size: settings of the descent; a batch has at most K rows.

    Returns:
        H heads; ``best`` is the index of the best learning rate.

    Raises:
        ValueError: ``chosen`` is empty, ``learning_rate`` is not positive, or ``steps`` or
            ``batch_size`` is below 1.

    Differs from the reference: its network computes in training mode on augmented images, so batch
    normalisation uses each batch and updates its averages. Neither has momentum: the reference sets
    momentum on an optimiser that was created without it.
    """
    features, target = features[chosen], target[chosen]
    return balanced_heads(
        features, target, target, start, generator, steps=steps, held_out=held_out, every=steps,
        learning_rate=learning_rate, momentum=0.0, batch_size=min(batch_size, len(chosen)),
    )  # fmt: skip
