"""Whether an attribute can be predicted from images that were transformed to hide it."""

import torch
from torch import Tensor

#: Bootstrap samples that are counted at a time.
CHUNK = 50


def resampled_auroc(
    scores: Tensor, positive: Tensor, *, generator: torch.Generator, resamples: int = 2000
) -> Tensor:
    """AUROC of bootstrap samples, drawn separately from the positives and the negatives.

    If the percentile interval of the areas lies above 0.5, the images still contain an artifact of
    the attribute.

    Source: Meister et al., "Gender Artifacts in Visual Datasets", ICCV 2023 (its released code
    prints average precision only; the resampling is our addition).

    Args:
        scores: ``(N,)`` float, scores of an attribute classifier on held-out images; a higher score
            is more likely positive.
        positive: ``(N,)`` bool or 0/1, whether the attribute is present.
        generator: source of randomness.
        resamples: number of bootstrap samples.

    Returns:
        ``(resamples,)`` float64 in [0, 1]. NaN if there is no positive, or no negative.
    """
    positive = positive.bool()
    values, place = torch.unique(scores, return_inverse=True)
    parts = (place[positive], place[~positive])
    if not all(len(part) for part in parts):
        return torch.full((resamples,), torch.nan, dtype=torch.float64)
    areas = []
    for start in range(0, resamples, CHUNK):
        drawn = [
            [part[torch.randint(len(part), part.shape, generator=generator)] for part in parts]
            for _ in range(min(CHUNK, resamples - start))
        ]
        won, lost = (_counts(torch.stack(side), len(values)) for side in zip(*drawn, strict=True))
        # twice the pairs that a positive wins, and once the ties
        halves = (won * (2 * lost.cumsum(dim=1) - lost)).sum(dim=1)
        areas.append(halves.double() / (2.0 * len(parts[0]) * len(parts[1])))
    return torch.cat(areas)


def _counts(drawn: Tensor, values: int) -> Tensor:
    """``(B, values)`` how often each of the sorted scores was drawn in each sample."""
    empty = torch.zeros(len(drawn), values, dtype=torch.long)
    return empty.scatter_add_(1, drawn, torch.ones_like(drawn))
