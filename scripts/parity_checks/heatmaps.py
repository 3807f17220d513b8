"""Compares ExMap's clusters of attribution maps, and the refit on them, with the authors' code."""

import math
from collections import defaultdict
from collections.abc import Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from scipy.sparse import csgraph
from scipy.sparse.linalg import lobpcg
from sklearn.cluster import SpectralClustering
from sklearn.linear_model import LogisticRegression
from sklearn.manifold._spectral_embedding import _set_diag
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from debias.group_inference.heatmap_clusters import clustered_groups, heatmap_clusters
from debias.heads import sparse
from debias.heads.linear import Rows
from debias.recipes import exmap as recipe
from parity_checks.cases import Replaced, apart, draws, noted
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

EXMAP = "rwchakra/exmap"
#: The images of each kind of map in class 0 and in class 1.
COUNTS = (((250, 150), (90, 160)), ((300, 120), (200, 200)), ((160, 140, 120), (200, 150, 0)))

#: What their scripts read in the refit.
ARGS = SimpleNamespace(
    auto=True, seed=0, clustering_type="spectral", clusters_class_0=2, clusters_class_1=2,
    clusters_class_all=2, max_samples=None, output_dir="", result_path="",
    group_label_type="local_cluster", save_linear_model=True,
)  # fmt: skip


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


def refit(clones: Clones) -> Iterator[Row]:
    ours: dict[str, Any] = {}
    cluster, groups = _code(clones)
    code = _refit_code(clones, ours)

    def case(seed: int) -> float:
        maps, y = _maps(seed)
        found = cluster["clustering"](ARGS, list(maps.flatten(1).numpy()), y.numpy(), 0 * y.numpy())
        ours["groups"] = groups["local_groups_from_clusters"](y.numpy(), *found[:2])
        split = SimpleNamespace(dataset=_Split(y.numpy()))
        args = SimpleNamespace(**vars(ARGS))  # they set max_samples
        group = code["modify_val_group_label_types"](args, split).dataset.group_array
        return _heads_apart(code, ours, maps, y, torch.from_numpy(group), seed)

    compared = (
        "C of seven and the margins of the refitted head, from maps: their groups, balanced draws "
        "as ours, the worst group, mean of 3 fits"
    )
    because = "tolerance of the solver, whose order is drawn"
    yield code.row("exmap", compared, map(case, range(2)), bar=1e-3, because=because)


def _heads_apart(
    code: Piece, ours: dict[str, Any], maps: Tensor, y: Tensor, group: Tensor, seed: int
) -> float:
    """Difference of the margins of their head and ours; infinite with another C."""
    x = _features(maps, y, seed)
    layer, head, balanced, (fitted, scored) = _ours(maps, Rows(x, y, y), seed)
    ours["orders"] = [torch.cat([scored, fitted]), *_first(balanced, group[fitted])]
    scaled = torch.from_numpy(StandardScaler().fit(x[fitted].numpy()).transform(x.numpy()))
    columns = [{"val": of.numpy()} for of in (scaled, y, group)]
    strength = code["dfr_on_validation_tune"](*columns, preprocess=False)
    ours["orders"] = [order for rows in head.subsamples for order in _first(rows, group)]
    columns = [dict.fromkeys(("val", "test"), of.numpy()) for of in (x, y, group)]
    code["dfr_on_validation_eval"](ARGS, strength, *columns, np.ones(4), num_retrains=3)
    fit, chosen = ours["saved"], strength == head.strength and len(head.scores.unique()) > 1
    margins = fit["scaler"].transform(x.numpy()) @ fit["coef"][0] + fit["intercept"]
    weight, bias = (of[1] - of[0] for of in (layer.weight.double(), layer.bias.double()))
    return apart(margins, x @ weight + bias) if chosen else math.inf


class _Split:
    """Validation rows as their script changes them."""

    def __init__(self, y: Any) -> None:
        self.y_array = self.group_array = self.spurious_array = y
        self._count_attributes = self._count_groups = lambda: None

    def __len__(self) -> int:
        return len(self.y_array)


def _refit_code(clones: Clones, ours: dict[str, Any]) -> Piece:
    """Their refit; shuffles give our orders, and files are kept in memory."""
    random = SimpleNamespace(shuffle=lambda rows: np.copyto(rows, ours["orders"].pop(0)))
    paths = SimpleNamespace(join=lambda *of: of[-1], dirname=str, basename=str, isdir=bool)
    space: dict[str, Any] = {
        "np": Replaced(np, {"random": random, "load": lambda _: ours["groups"]}),
        "StandardScaler": StandardScaler, "os": SimpleNamespace(path=paths, mkdir=str),
        "open": lambda *_: nullcontext(),
        "pickle": SimpleNamespace(dump=lambda fit, _: ours.update(saved=fit)),
        "LogisticRegression": lambda **of: LogisticRegression(
            **(of | {"max_iter": 1000, "random_state": 0})
        ),
    }  # fmt: skip
    names = ("dfr_on_validation_tune", "dfr_on_validation_eval", "modify_val_group_label_types")
    return clones.take(EXMAP, "src/run_dfr.py", "C_OPTIONS", "REG", *names, space=space)


def _features(maps: Tensor, y: Tensor, seed: int) -> Tensor:
    """Features of class and place, with noise; the place is easier to see."""
    hot = maps[:, :2].mean(dim=(1, 2)) > 0.5
    noise = torch.randn(len(y), 20, generator=draws(seed + 10))
    return 3 * noise + torch.stack([4.0 * y, 9.0 * hot, *[0.0 * y] * 18], 1) + 2


def _ours(maps: Tensor, rows: Rows, seed: int) -> tuple[Any, ...]:
    """The layer of our recipe, the head in it, and the rows that chose C: balanced, and halves."""
    seen = defaultdict[str, list[Any]](list)
    examples = SimpleNamespace(groups=SimpleNamespace(rows=2))
    frozen: Any = SimpleNamespace(rows=lambda _: rows, stage=SimpleNamespace(examples=examples))
    kept = {
        name: noted(seen[name], getattr(sparse, name)) for name in ("balanced_subsample", "halves")
    }
    with (
        patch.multiple(sparse, **kept),
        patch.object(recipe, "sparse_head", noted(seen["head"], recipe.sparse_head)),
        patch.object(recipe.ExMap, "_maps", lambda *_: maps),
    ):
        layer = recipe.ExMap(subsamples=3).fit(frozen, seed)
    return layer, seen["head"][0], seen["balanced_subsample"][0], seen["halves"][0]


def _first(balanced: Tensor, group: Tensor) -> list[Tensor]:
    """The rows of each group, our balanced ones first: their code takes the first ones."""
    chosen = torch.isin(torch.arange(len(group)), balanced)
    return [
        torch.cat([(own & kind).nonzero()[:, 0] for kind in (chosen, ~chosen)])
        for own in group == torch.arange(4)[:, None]
    ]
