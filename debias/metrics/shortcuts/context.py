"""How much the recognition of a label depends on its usual context, from a model's scores."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from debias.metrics.scores.ranking import average_precision


class ContextPair(NamedTuple):
    """A label and a second label that is its context, as column indices of the label matrix."""

    label: int
    context: int


def contextual_bias(scores: Tensor, labels: Tensor, pair: ContextPair) -> Tensor:
    r"""Ratio of a model's confidence in a label with its context to that without the context.

    .. math:: \frac{\mathrm{mean}\; p_b \mid b \text{ and } c \text{ present}}
                   {\mathrm{mean}\; p_b \mid b \text{ present}, c \text{ absent}}

    Source: Singh et al., "Don't Judge an Object by Its Context: Learning to Overcome Contextual
    Bias", CVPR 2020; reference code princetonvisualai/ContextualBias.

    Args:
        scores: ``(N, L)`` probabilities in [0, 1] of held-out images.
        labels: ``(N, L)`` 0/1.
        pair: label b and context c.

    Returns:
        Scalar float64; 1 if the label does not need its context, above 1 if it does. NaN if one of
        the two sets of images is empty or the denominator is 0.

    Differs from the reference: the reference returns 0 if a set is empty.
    """
    exclusive, together, _ = _parts(labels, pair)
    confidence = scores[:, pair.label].double()
    alone = confidence[exclusive].mean()
    return confidence[together].mean() / torch.where(alone == 0, torch.nan, alone)


def biased_pairs(
    scores: Tensor, labels: Tensor, *, share: float = 0.1, top: int = 20
) -> list[ContextPair]:
    """Find the labels whose confidence depends most on a context, each with that context.

    Source: Singh et al., CVPR 2020 (COCO-Stuff: 20 pairs that co-occur in at least 10 % of the
    label's images).

    Args:
        scores: ``(N, L)`` probabilities in [0, 1], of images on which the pairs are not evaluated.
        labels: ``(N, L)`` 0/1.
        share: a context must be present in at least this share of the label's images.
        top: largest number of pairs.

    Returns:
        At most one pair per label, with the context of highest :func:`contextual_bias`; the pair of
        highest bias is first.
    """
    together = labels.double().T @ labels.double()
    common = together >= share * together.diagonal()[:, None]
    common.fill_diagonal_(False)
    strongest: dict[int, tuple[float, ContextPair]] = {}
    for label, context in common.nonzero().tolist():
        pair = ContextPair(label, context)
        candidate = (contextual_bias(scores, labels, pair).item(), pair)
        # a NaN cannot be ranked
        if candidate[0] == candidate[0]:
            strongest[label] = max(candidate, strongest.get(label, candidate))
    return [pair for _, pair in sorted(strongest.values(), key=lambda entry: -entry[0])[:top]]


def exclusive_precision(scores: Tensor, labels: Tensor, pair: ContextPair) -> Tensor:
    """Average precision of a label, with positives that lack its context.

    Source: Singh et al., CVPR 2020.

    Args:
        scores, labels, pair: as in :func:`contextual_bias`; the scores may be logits.

    Returns:
        Scalar float64 in [0, 1], ideally equal to :func:`cooccurring_precision`. The positives are
        the label's images without the context, the negatives all images without the label. NaN
        without positives.
    """
    exclusive, _, other = _parts(labels, pair)
    rows = exclusive | other
    return average_precision(scores[rows, pair.label], exclusive[rows])


def cooccurring_precision(scores: Tensor, labels: Tensor, pair: ContextPair) -> Tensor:
    """Average precision of a label, with positives that show its context.

    Otherwise as :func:`exclusive_precision`.
    """
    _, together, other = _parts(labels, pair)
    rows = together | other
    return average_precision(scores[rows, pair.label], together[rows])


def context_report(
    scores: Tensor, labels: Tensor, pairs: Sequence[ContextPair]
) -> dict[str, float]:
    """The numbers of the family ``CONTEXT``: means over K pairs of label and context.

    Args:
        scores: ``(N, L)`` probabilities in [0, 1].
        labels: ``(N, L)`` 0/1.
        pairs: K pairs that :func:`biased_pairs` found on other images.

    Returns:
        Plain floats: ``contextual_bias`` (ideally 1), ``exclusive_precision``,
        ``cooccurring_precision``, and ``context_gap`` (ideally 0), the mean of the co-occurring
        minus the exclusive precision. NaN if no pair defines a number.
    """
    measures = (contextual_bias, exclusive_precision, cooccurring_precision)
    bias, exclusive, together = (
        torch.stack([measure(scores, labels, pair) for pair in pairs] or [torch.tensor(torch.nan)])
        for measure in measures
    )
    return {
        "contextual_bias": bias.nanmean().item(),
        "exclusive_precision": exclusive.nanmean().item(),
        "cooccurring_precision": together.nanmean().item(),
        "context_gap": (together - exclusive).nanmean().item(),
    }


def _parts(labels: Tensor, pair: ContextPair) -> tuple[Tensor, Tensor, Tensor]:
    """Rows with the label but not its context, with both, and without the label: ``(N,)`` bool."""
    shown, context = labels[:, pair.label].bool(), labels[:, pair.context].bool()
    return shown & ~context, shown & context, ~shown
