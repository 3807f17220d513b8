"""Compares ExMap's clusters of attribution maps with the authors' code."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from scipy.sparse import csgraph
from scipy.sparse.linalg import lobpcg
from sklearn.cluster import SpectralClustering
from sklearn.manifold._spectral_embedding import _set_diag
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from debias.group_inference.heatmap_clusters import clustered_groups, heatmap_clusters
from parity_checks.cases import draws
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

EXMAP = "rwchakra/exmap"
#: The images of each kind of map in class 0 and in class 1.
COUNTS = (((250, 150), (90, 160)), ((300, 120), (200, 200)), ((160, 140, 120), (200, 150, 0)))


def exmap(clones: Clones) -> Iterator[Row]:
    cluster, groups = _code(clones)

    def case(seed: int, within: str, automatic: bool) -> float:
        maps, y = _maps(seed)
        number = 2 + (seed == 2)
        args = SimpleNamespace(
            auto=automatic, seed=0, clustering_type="spectral", clusters_class_0=number,
            clusters_class_1=2, clusters_class_all=number,
        )  # fmt: skip
        spread = np.zeros(len(y), dtype=int)
        found = cluster["clustering"](args, list(maps.flatten(1).numpy()), y.numpy(), spread)
        if within == "class":
            theirs = groups["local_groups_from_clusters"](y.numpy(), *found[:2])
        else:
            theirs = groups["global_groups_from_clusters"](y.numpy(), found[2])
        given = None if automatic else number
        ours = heatmap_clusters(maps, y, seed=0, clusters=given, within=within)
        joined = clustered_groups(ours, y)
        return 1 - float(adjusted_rand_score(theirs, joined.numpy()))

    compared = "1 - adjusted Rand index of the groups of 650 to 820 maps of 2 or 3 kinds, by"
    gaps = [case(seed, "class", True) for seed in range(3)]
    yield cluster.row("exmap", f"{compared} the gap of eigenvalues in each class", gaps, bar=0.0)
    gaps = [case(seed, "all", automatic) for seed in range(2) for automatic in (True, False)]
    compared = f"{compared} the gap or a given number, over both classes"
    yield groups.row("exmap", compared, gaps, bar=0.0)


def _code(clones: Clones) -> tuple[Piece, Piece]:
    plots = SimpleNamespace(show=lambda: None)
    space: dict[str, Any] = {"csgraph": csgraph, "lobpcg": lobpcg, "_set_diag": _set_diag}
    eigen = clones.take(EXMAP, "src/exmap/eigen.py", "eigenDecomposition", space=space)

    def decomposed(matrix: Any, **options: Any) -> Any:
        return eigen["eigenDecomposition"](matrix, **(options | {"plot": False}))

    space = {"SpectralClustering": SpectralClustering, "plt": plots}
    names = ("spectral", "clustering")
    path = "src/exmap/cluster.py"
    cluster = clones.take(EXMAP, path, *names, space=space | {"eigenDecomposition": decomposed})
    names = ("local_groups_from_clusters", "global_groups_from_clusters")
    return cluster, clones.take(EXMAP, "src/exmap/create_groups.py", *names)


def _maps(seed: int) -> tuple[Tensor, Tensor]:
    """Noisy maps of 4 x 4 places that are hot above, below or at the right, and classes."""
    generator = draws(seed)
    counts = torch.tensor(COUNTS[seed])
    kind = torch.arange(counts.shape[1]).repeat(2).repeat_interleave(counts.flatten())
    y = torch.arange(2).repeat_interleave(counts.sum(dim=1))
    hot = torch.zeros(3, 4, 4)
    hot[0, :2], hot[1, 2:], hot[2, :, 3] = 1, 1, 1
    return hot[kind] + 0.1 * torch.rand(len(kind), 4, 4, generator=generator), y
