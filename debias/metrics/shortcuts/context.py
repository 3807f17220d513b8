"""How much the recognition of a label depends on its usual context, from a model's scores."""

from collections.abc import Sequence
from math import nan

import torch
from torch import Tensor

from debias.metrics.scores.ranking import average_precision
from debias.types import ContextPair


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
    scores: Tensor,
    labels: Tensor,
    *,
    share: float = 0.1,
    top: int = 20,
    shared: Tensor | None = None,
) -> list[ContextPair]:
    """Find the labels whose confidence depends most on a context, each with that context.

    Source: Singh et al., CVPR 2020. The replication princetonvisualai/ContextualBias takes 20
    pairs, and a share of 0.2 on COCO-Stuff and AwA, 0.1 on DeepFashion.

    Args:
        scores: ``(N, L)`` probabilities in [0, 1], of images on which the pairs are not evaluated.
        labels: ``(N, L)`` 0/1.
        share: a context must be present in at least this share of the label's images.
        top: largest number of pairs.
        shared: ``(M, L)`` 0/1, the labels that ``share`` is about, such as those of training.
            ``None`` means ``labels``.

    Returns:
        At most one pair per label, with the context of highest :func:`contextual_bias`; the pair of
        highest bias is first.
    """
    seen = (labels if shared is None else shared).double()
    together = seen.T @ seen
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
    scores: Tensor, labels: Tensor, pairs: Sequence[ContextPair], names: Sequence[str]
) -> dict[str, float]:
    """The numbers of the family ``CONTEXT``: of each pair of label and context, and their means.

    Args:
        scores: ``(N, L)`` probabilities in [0, 1].
        labels: ``(N, L)`` 0/1.
        pairs: K pairs that are known, or that :func:`biased_pairs` found on other images.
        names: L names of the labels.

    Returns:
        Plain floats: ``contextual_bias`` (ideally 1), ``exclusive_precision``,
        ``cooccurring_precision``, and ``context_gap`` (ideally 0), the mean of the co-occurring
        minus the exclusive precision. NaN if no pair defines a number. ``mean_precision`` is the
        mean of the average precision over all labels. Then the first three of each pair, as
        "contextual_bias/circle|square".
    """
    measures = {
        "contextual_bias": contextual_bias,
        "exclusive_precision": exclusive_precision,
        "cooccurring_precision": cooccurring_precision,
    }
    values = {
        name: torch.stack([measure(scores, labels, pair) for pair in pairs] or [torch.tensor(nan)])
        for name, measure in measures.items()
    }
    gap = values["cooccurring_precision"] - values["exclusive_precision"]
    every = [average_precision(*column) for column in zip(scores.T, labels.T == 1, strict=True)]
    means = {name: found.nanmean().item() for name, found in values.items()}
    means |= {"context_gap": gap.nanmean().item()}
    means |= {"mean_precision": torch.stack(every).nanmean().item()}
    return means | {
        f"{name}/{names[pair.label]}|{names[pair.context]}": value
        for name, found in values.items()
        for pair, value in zip(pairs, found.tolist(), strict=bool(pairs))
    }


def _parts(labels: Tensor, pair: ContextPair) -> tuple[Tensor, Tensor, Tensor]:
    """Rows with the label but not its context, with both, and without the label: ``(N,)`` bool."""
    shown, context = labels[:, pair.label].bool(), labels[:, pair.context].bool()
    return shown & ~context, shown & context, ~shown
