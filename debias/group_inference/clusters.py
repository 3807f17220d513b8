"""Clusters of what an early model says within each class, and how strongly to even them out."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from debias.errors import InputError

#: Samples on which a silhouette is computed: it takes all pairs of them.
SILHOUETTE_SAMPLES = 5000


class Clusters(NamedTuple):
    """Clusters within classes.

    Attributes:
        inferred: ``(N,)`` int64 cluster of each sample within its class, the largest being 0.
        silhouette: ``(C,)`` float64, how well those of each class are parted; NaN for a class that
            was not parted.
    """

    inferred: Tensor
    silhouette: Tensor

    def powers(self, *, threshold: float = 0.9) -> list[int]:
        """Of each class: 2 where the silhouette is below the threshold, else 1."""
        return [2 if value < threshold else 1 for value in self.silhouette.tolist()]


def class_clusters(outputs: Tensor, target: Tensor, *, seed: int, largest: int = 5) -> Clusters:
    """k-means within each class, with the k from 2 to ``largest`` whose silhouette is greatest.

    Source: Yang et al., "Identifying Spurious Biases Early in Training through the Lens of
    Simplicity Bias" (SPARE), AISTATS 2024; reference code BigML-CS-UCLA/SpuCo.

    Args:
        outputs: ``(N, D)`` float, such as the probabilities of a model after an epoch or two.
        target: ``(N,)`` int64 class index.
        seed: of the starts of k-means, and of the samples of a class of which the silhouette is
            computed (5,000 at most).
        largest: greatest k, at least 2.

    Returns:
        Clusters of each class. A class of fewer than three samples, or of equal outputs, is one
        cluster.

    Raises:
        ValueError: targets are not one class per sample, or ``largest`` is less than 2.

    Differs from the reference: silhouettes of large classes are of a sample of them.
    """
    if target.ndim != 1 or largest < 2:
        raise InputError(
            "clusters within classes need one class per sample and largest >= 2; got targets of "
            f"shape {tuple(target.shape)} and largest={largest}"
        )
    inferred = torch.zeros_like(target)
    silhouette = []
    for one in range(int(target.max()) + 1):
        members = (target == one).nonzero().flatten()
        inferred[members], value = _best_clusters(outputs[members], seed, largest)
        silhouette.append(value)
    return Clusters(inferred, torch.tensor(silhouette, dtype=torch.float64))


def _best_clusters(outputs: Tensor, seed: int, largest: int) -> tuple[Tensor, float]:
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    points = outputs.detach().cpu().double().numpy()
    different = len(torch.unique(outputs, dim=0))
    best, score = torch.zeros(len(points), dtype=torch.int64), float("nan")
    sample = np.random.RandomState(seed).permutation(len(points))[:SILHOUETTE_SAMPLES]
    for count in range(2, min(largest, different, len(points) - 1) + 1):
        found = KMeans(count, n_init=10, random_state=seed).fit_predict(points)
        if len(np.unique(found[sample])) < 2:
            continue  # the sample misses all but one cluster, of which there is no silhouette
        value = float(silhouette_score(points[sample], found[sample]))
        if not score >= value:
            best, score = torch.from_numpy(found).long(), value
    rank = torch.bincount(best).argsort(descending=True, stable=True).argsort()
    return rank[best].to(outputs.device), score
