"""Whether an attribute can be predicted from images that were transformed to hide it."""

import torch
from torch import Tensor

from debias.metrics.accuracy.uncertainty import Interval, percentile_interval
from debias.metrics.scores.ranking import auroc


def resampled_auroc(
    scores: Tensor, positive: Tensor, *, generator: torch.Generator, resamples: int = 2000
) -> Tensor:
    """AUROC of bootstrap samples, drawn separately from the positives and the negatives.

    Args:
        scores: ``(N,)`` float, scores of an attribute classifier on held-out images; a higher score
            is more likely positive.
        positive: ``(N,)`` bool or 0/1, whether the attribute is present.
        generator: source of randomness.
        resamples: number of bootstrap samples.

    Returns:
        ``(resamples,)`` float64 in [0, 1]. NaN if there is no positive, or no negative.
    """
    parts = (scores[positive.bool()], scores[~positive.bool()])
    if not all(len(part) for part in parts):
        return torch.full((resamples,), torch.nan, dtype=torch.float64)
    drawn = [
        [part[torch.randint(len(part), part.shape, generator=generator)] for part in parts]
        for _ in range(resamples)
    ]
    label = torch.cat(
        [torch.full(part.shape, value) for part, value in zip(parts, (True, False), strict=True)]
    )
    return torch.stack([auroc(torch.cat(sample), label) for sample in drawn])


def artifact_interval(
    scores: Tensor,
    positive: Tensor,
    *,
    generator: torch.Generator,
    level: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """Bootstrap interval of the AUROC with which an attribute is predicted from transformed images.

    If the interval lies above 0.5, the images still contain an artifact of the attribute.

    Source: Meister et al., "Gender Artifacts in Visual Datasets", ICCV 2023 (its released code
    prints average precision only; the interval is our addition).

    Args:
        scores, positive, generator, resamples: as in :func:`resampled_auroc`.
        level: coverage in (0, 1).
    """
    return percentile_interval(
        resampled_auroc(scores, positive, generator=generator, resamples=resamples), level=level
    )


def artifact_report(
    scores: Tensor, positive: Tensor, *, generator: torch.Generator
) -> dict[str, float]:
    """``artifact_auroc`` (0.5 without artifact) and the ends of its 95 % interval, as floats."""
    low, high = artifact_interval(scores, positive, generator=generator)
    area = auroc(scores, positive)
    return {
        "artifact_auroc": area.item(),
        "artifact_auroc_low": low.item(),
        "artifact_auroc_high": high.item(),
    }
