"""Clusters of an early model's outputs within each class, and how strongly to balance them."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from debias.errors import InputError

#: The most samples of a class on which a silhouette is computed: it compares all pairs of them.
SILHOUETTE_SAMPLES = 5000


class Clusters(NamedTuple):
    """The k-means clusters of each class, and how well they are separated.

    Attributes:
        inferred: ``(N,)`` int64 cluster of each sample within its class; 0 is the largest cluster.
        silhouette: ``(C,)`` float64, the silhouette score of each class: how well its clusters are
            separated. NaN for a class with a single cluster.
    """

    inferred: Tensor
    silhouette: Tensor

    def powers(self, *, threshold: float = 0.9) -> list[int]:
        """The sampling power of each class: 2 if its silhouette is below the threshold, else 1."""
        return [2 if value < threshold else 1 for value in self.silhouette.tolist()]


def class_clusters(outputs: Tensor, target: Tensor, *, seed: int, largest: int = 5) -> Clusters:
    """Run k-means within each class; of k = 2 to ``largest``, keep the k of greatest silhouette.

    Source: Yang et al., "Identifying Spurious Biases Early in Training through the Lens of
    Simplicity Bias" (SPARE), AISTATS 2024; reference code BigML-CS-UCLA/SpuCo.

    Args:
        outputs: ``(N, D)`` float, such as the probabilities of a model after one or two epochs.
        target: ``(N,)`` int64 class index.
        seed: seed of the starting points of k-means, and of the samples of a class on which the
            silhouette is computed (5,000 at most).
        largest: greatest k, at least 2.

    Returns:
        Clusters of each class. A class is a single cluster if it has fewer than three samples, or
        if all its outputs are equal.

    Raises:
        ValueError: ``target`` is not ``(N,)``, or ``largest`` is less than 2.

    Differs from the reference: the silhouette of a large class is computed on a sample of it.
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
        labels = KMeans(count, n_init=10, random_state=seed).fit_predict(points)
        if len(np.unique(labels[sample])) < 2:
            continue  # a silhouette is undefined for the single cluster that the sample has
        value = float(silhouette_score(points[sample], labels[sample]))
        if not score >= value:
            best, score = torch.from_numpy(labels).long(), value
    rank = torch.bincount(best).argsort(descending=True, stable=True).argsort()
    return rank[best].to(outputs.device), score
