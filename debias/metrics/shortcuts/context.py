"""How much a label is recognised by its usual context, from the scores of all images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from debias.errors import InputError
from debias.metrics.scores.ranking import average_precision


class Pair(NamedTuple):
    """A label and the label that is its context: two columns."""

    label: int
    context: int


def balanced_average_precision(scores: Tensor, positive: Tensor, domain: Tensor) -> Tensor:
    r"""Average precision whose positives weigh the same in either value of an attribute.

    .. math:: \mathrm{AP} = \frac{\sum_{i: y_i = 1} w_i P_i}{\sum_{i: y_i = 1} w_i}, \qquad
              P_i = \frac{\sum_{j: s_j \ge s_i, y_j = 1} w_j}{\sum_{j: s_j \ge s_i} w_j}

    With :math:`n_d` positives of domain d, each weighs :math:`(n_0 + n_1) / 2 n_d`; negatives weigh
    1.

    Source: Wang et al., "Towards Fairness in Visual Recognition: Effective Strategies for Bias
    Mitigation", CVPR 2020; reference code princetonvisualai/DomainBiasMitigation.

    Args:
        scores: ``(N,)`` float without NaN, higher for more likely.
        positive: ``(N,)`` bool or 0/1.
        domain: ``(N,)`` integer 0 or 1, -1 where unknown: such a row is left out.

    Returns:
        Scalar float64 in [0, 1], ideally 1; NaN where a domain has no positive.

    Raises:
        ValueError: there is a third domain.
    """
    if bool((domain > 1).any()):
        raise InputError(
            f"domain {int(domain.max())} is neither 0, 1 nor -1 (unknown): compare two domains at "
            "a time"
        )
    known = domain >= 0
    scores, positive, domain = scores[known], positive[known].bool(), domain[known].long()
    counts = torch.bincount(domain[positive], minlength=2)
    if bool((counts == 0).any()):
        return _undefined()
    weight = torch.where(positive, counts.sum() / (2 * counts.double())[domain], 1.0)
    ranked, order = scores.sort()
    # of each positive, what scores at least as high
    first = torch.searchsorted(ranked, scores[positive])
    above = [_from_each_on(part[order])[first] for part in (weight * positive, weight)]
    return (weight[positive] * above[0] / above[1]).sum() / weight[positive].sum()


def contextual_bias(scores: Tensor, labels: Tensor, pair: Pair) -> Tensor:
    r"""How much more confident a model is of a label where its context is present.

    .. math:: \frac{\mathrm{mean}\; p_b \mid b \text{ and } c \text{ present}}
                   {\mathrm{mean}\; p_b \mid b \text{ present}, c \text{ absent}}

    Source: Singh et al., "Don't Judge an Object by Its Context: Learning to Overcome Contextual
    Bias", CVPR 2020; reference code princetonvisualai/ContextualBias.

    Args:
        scores: ``(N, L)`` probabilities in [0, 1] of held-out images.
        labels: ``(N, L)`` 0/1.
        pair: label b and context c.

    Returns:
        Scalar float64, 1 for a label that does not need its context, more for one that does; NaN
        where one of the two sets is empty or the denominator is 0.

    Differs from the reference: it returns 0 where a set is empty.
    """
    exclusive, together, _ = _parts(labels, pair)
    confidence = scores[:, pair.label].double()
    alone = confidence[exclusive].mean()
    return confidence[together].mean() / torch.where(alone == 0, torch.nan, alone)


def biased_pairs(
    scores: Tensor, labels: Tensor, *, share: float = 0.1, top: int = 20
) -> list[Pair]:
    """The labels that need their context most, each with that context; most biased first.

    Source: Singh et al., CVPR 2020 (COCO-Stuff: 20 pairs that co-occur in at least 10 % of the
    label's images).

    Args:
        scores: ``(N, L)`` probabilities in [0, 1], of images the pairs are not evaluated on.
        labels: ``(N, L)`` 0/1.
        share: least share of a label's images that show the context.
        top: how many pairs at most.
    """
    found: list[tuple[float, Pair]] = []
    together = labels.double().T @ labels.double()
    common = together >= share * together.diagonal()[:, None]
    for label in range(labels.shape[1]):
        contexts = [
            context
            for context in range(labels.shape[1])
            if context != label and bool(common[label, context])
        ]
        ranked = [
            (contextual_bias(scores, labels, Pair(label, context)).item(), context)
            for context in contexts
        ]
        # NaN is no bias that could be ranked
        found += [
            (bias, Pair(label, context))
            for bias, context in sorted(ranked, reverse=True)
            if bias == bias
        ][:1]
    return [pair for _, pair in sorted(found, key=lambda entry: -entry[0])[:top]]


def exclusive_precision(scores: Tensor, labels: Tensor, pair: Pair) -> Tensor:
    """Average precision of a label on images without the context, or without the label.

    Source: Singh et al., CVPR 2020.

    Args:
        scores, labels, pair: as in :func:`contextual_bias`; the scores may be logits.

    Returns:
        Scalar float64 in [0, 1], ideally that of :func:`cooccurring_precision`; NaN without such
        images.
    """
    exclusive, _, other = _parts(labels, pair)
    rows = exclusive | other
    return average_precision(scores[rows, pair.label], exclusive[rows])


def cooccurring_precision(scores: Tensor, labels: Tensor, pair: Pair) -> Tensor:
    """The same over the label's images *with* the context; see :func:`exclusive_precision`."""
    _, together, other = _parts(labels, pair)
    rows = together | other
    return average_precision(scores[rows, pair.label], together[rows])


def recall_at(scores: Tensor, rows: Tensor, *, label: int, k: int = 3) -> Tensor:
    """Share of some images that have a label among their ``k`` highest scores.

    Source: Singh et al., CVPR 2020 (DeepFashion).

    Args:
        scores: ``(N, L)`` float.
        rows: ``(N,)`` bool or 0/1, the images that show the label, with its context or without.
        label: the label's column.
        k: how many scores an image may name.

    Returns:
        Scalar float64 in [0, 1], ideally 1; NaN without an image.
    """
    return (
        (scores[rows.bool()].topk(min(k, scores.shape[1]), dim=1).indices == label)
        .any(dim=1)
        .double()
        .mean()
    )


def context_report(scores: Tensor, labels: Tensor, pairs: Sequence[Pair]) -> dict[str, float]:
    """What K pairs of label and context say of a multi-label model, in the mean.

    Args:
        scores: ``(N, L)`` probabilities in [0, 1].
        labels: ``(N, L)`` 0/1.
        pairs: found on other images, by :func:`biased_pairs`.

    Returns:
        ``contextual_bias`` (ideally 1), ``exclusive_precision``, ``cooccurring_precision`` and
        ``context_gap``, the mean of the latter minus the former (ideally 0); plain floats, NaN
        where no pair defines one.
    """
    exclusive = torch.stack(
        [exclusive_precision(scores, labels, pair) for pair in pairs] or [_undefined()]
    )
    together = torch.stack(
        [cooccurring_precision(scores, labels, pair) for pair in pairs] or [_undefined()]
    )
    biases = torch.stack(
        [contextual_bias(scores, labels, pair) for pair in pairs] or [_undefined()]
    )
    return {
        "contextual_bias": biases.nanmean().item(),
        "exclusive_precision": exclusive.nanmean().item(),
        "cooccurring_precision": together.nanmean().item(),
        "context_gap": (together - exclusive).nanmean().item(),
    }


def _parts(labels: Tensor, pair: Pair) -> tuple[Tensor, Tensor, Tensor]:
    """Which rows show the label alone, with its context, and not at all: three ``(N,)`` bool."""
    shown, context = labels[:, pair.label].bool(), labels[:, pair.context].bool()
    return shown & ~context, shown & context, ~shown


def _from_each_on(values: Tensor) -> Tensor:
    """Sum of each value and all that follow it."""
    return values.flip(0).cumsum(0).flip(0)


def _undefined() -> Tensor:
    return torch.tensor(torch.nan, dtype=torch.float64)
