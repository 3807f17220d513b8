"""How much a label is recognised by its usual context, from the scores of all images."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from debias.metrics.scores.ranking import average_precision


class ContextPair(NamedTuple):
    """A label and the label that is its context: two columns."""

    label: int
    context: int


def contextual_bias(scores: Tensor, labels: Tensor, pair: ContextPair) -> Tensor:
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
) -> list[ContextPair]:
    """The labels that need their context most, each with that context; most biased first.

    Source: Singh et al., CVPR 2020 (COCO-Stuff: 20 pairs that co-occur in at least 10 % of the
    label's images).

    Args:
        scores: ``(N, L)`` probabilities in [0, 1], of images the pairs are not evaluated on.
        labels: ``(N, L)`` 0/1.
        share: least share of a label's images that show the context.
        top: how many pairs at most.
    """
    together = labels.double().T @ labels.double()
    common = together >= share * together.diagonal()[:, None]
    common.fill_diagonal_(False)
    strongest: dict[int, tuple[float, ContextPair]] = {}
    for label, context in common.nonzero().tolist():
        pair = ContextPair(label, context)
        found = (contextual_bias(scores, labels, pair).item(), pair)
        # NaN is no bias that could be ranked
        if found[0] == found[0]:
            strongest[label] = max(found, strongest.get(label, found))
    return [pair for _, pair in sorted(strongest.values(), key=lambda entry: -entry[0])[:top]]


def exclusive_precision(scores: Tensor, labels: Tensor, pair: ContextPair) -> Tensor:
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


def cooccurring_precision(scores: Tensor, labels: Tensor, pair: ContextPair) -> Tensor:
    """The same over the label's images *with* the context; see :func:`exclusive_precision`."""
    _, together, other = _parts(labels, pair)
    rows = together | other
    return average_precision(scores[rows, pair.label], together[rows])


def context_report(
    scores: Tensor, labels: Tensor, pairs: Sequence[ContextPair]
) -> dict[str, float]:
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
    """Which rows show the label alone, with its context, and not at all: three ``(N,)`` bool."""
    shown, context = labels[:, pair.label].bool(), labels[:, pair.context].bool()
    return shown & ~context, shown & context, ~shown
