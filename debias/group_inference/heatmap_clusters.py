"""ExMap: clusters of images by where a first model looks."""

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from debias.errors import InputError, check_at_least, check_one_of

#: Which images are clustered together: those of one class, or all.
WITHIN = ("class", "all")
#: Clusters are chosen among 2 to 10, and a graph of fewer images than this has too few eigenvalues.
LARGEST, FEWEST = 10, 12
#: The most images that are clustered together: the graph's eigenvalues take cubic time.
MOST = 5000


def heatmap_clusters(
    maps: Tensor, target: Tensor, *, seed: int, clusters: int | None = None, within: str = "class"
) -> Tensor:
    r"""Cluster attribution maps by the graph of their nearest neighbours.

    Each map is divided by its largest absolute value. The graph joins each of N maps with its
    :math:`\lfloor \log N \rfloor` nearest ones, itself included. The number of clusters follows
    from the largest gap between the eigenvalues :math:`\lambda_0 \le \lambda_1 \le \dots` of its
    normalised Laplacian:

    .. math:: k = 2 + \arg\max_{1 \le j \le 9} (\lambda_{j+1} - \lambda_j) - 1

    Source: Chakraborty et al., "ExMap: Leveraging Explainability Heatmaps for Unsupervised Group
    Robustness to Spurious Correlations", CVPR 2024; reference code rwchakra/exmap.

    Args:
        maps: ``(N, H, W)`` float attribution of each image.
        target: ``(N,)`` int64 class.
        seed: seed of the eigenvectors' start.
        clusters: number of clusters, at least 2; ``None`` uses the largest gap.
        within: "class" clusters the images of each class, "all" all images together.

    Returns:
        ``(N,)`` int64 cluster of each image, in its class or among all; 0 is the largest.

    Raises:
        ValueError: ``within`` is unknown, ``clusters`` is below 2, more than 5,000 images would be
            clustered together, or too few: 12, or as many as ``clusters``.

    Differs from the reference: eigenvalues are exact; there they are those of an iterative solver.
    """
    check_one_of(WITHIN, {"within": within}, of="ExMap")
    if clusters is not None:
        check_at_least(2, {"clusters": clusters}, of="ExMap")
    flat = maps.detach().cpu().double().flatten(1)
    points = (flat / flat.abs().amax(dim=1, keepdim=True).clamp(min=1e-12)).numpy()
    part = check_counts(target.cpu(), clusters=clusters, within=within)
    found = torch.zeros(len(target), dtype=torch.int64)
    for one in torch.unique(part).tolist():
        rows = (part == one).nonzero().flatten()
        found[rows] = _clustered(points[rows.numpy()], seed, clusters)
    return found


def check_counts(target: Tensor, *, clusters: int | None = None, within: str = "class") -> Tensor:
    """Refuse numbers of images that :func:`heatmap_clusters` cannot cluster together.

    Args:
        target, clusters, within: as for :func:`heatmap_clusters`.

    Returns:
        ``(N,)`` int64: images of one number are clustered together.

    Raises:
        ValueError: more than 5,000 images would be clustered together, or too few: 12, or as many
            as ``clusters``.
    """
    part = target if within == "class" else torch.zeros_like(target)
    least = max(FEWEST, clusters or 0)
    for number, count in enumerate(torch.bincount(part).tolist()):
        if count and not least < count <= MOST:
            images = f"images of class {number}" if within == "class" else "images"
            raise InputError(
                f"ExMap clusters the maps of {least + 1} to {MOST:,} images together; got "
                f"{count:,} {images}: use another number of validation images"
            )
    return part


def _clustered(points: NDArray[np.float64], seed: int, clusters: int | None) -> Tensor:
    from sklearn.cluster import SpectralClustering
    from sklearn.neighbors import kneighbors_graph

    neighbours = max(2, int(np.log(len(points))))
    graph = kneighbors_graph(points, neighbours, include_self=True)
    affinity = 0.5 * (graph + graph.T)
    count = clusters or _by_largest_gap(affinity)
    method = SpectralClustering(
        count, affinity="precomputed", assign_labels="cluster_qr", random_state=seed
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Graph is not fully connected")
        labels = torch.from_numpy(method.fit_predict(affinity)).long()
    rank = torch.bincount(labels).argsort(descending=True, stable=True).argsort()
    return rank[labels]


def _by_largest_gap(affinity: Any) -> int:
    from scipy.linalg import eigvalsh
    from scipy.sparse.csgraph import laplacian

    whole = laplacian(affinity, normed=True).toarray()
    np.fill_diagonal(whole, 1)
    values = eigvalsh(whole, subset_by_index=[0, LARGEST])
    return int(np.diff(values)[1:LARGEST].argmax()) + 2


def clustered_groups(clusters: Tensor, target: Tensor, *, least: int = 1) -> Tensor:
    """The group (class, cluster) of each image. Small groups join the largest one of their class.

    Args:
        clusters: ``(N,)`` int64 cluster in the class, or among all.
        target: ``(N,)`` int64 class.
        least: fewest images of a group that remains.

    Returns:
        ``(N,)`` int64 group, which is class times the number of clusters, plus cluster.

    Example:
        >>> clusters, target = torch.tensor([0, 1, 1, 0, 0]), torch.tensor([0, 0, 0, 1, 1])
        >>> clustered_groups(clusters, target, least=2).tolist()
        [1, 1, 1, 2, 2]
    """
    number = int(clusters.max()) + 1
    counts = torch.bincount(target * number + clusters, minlength=(int(target.max()) + 1) * number)
    counts = counts.view(-1, number)
    small = counts[target, clusters] < least
    return target * number + torch.where(small, counts.argmax(dim=1)[target], clusters)
