"""Compares samplers with the authors' code: the rows that each epoch may visit, and how often."""

from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from debias.data.orders import Weighted
from debias.data.subsamples import class_mixture
from debias.types import Groups
from parity_checks.cases import apart, draws
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

CLASSES = Groups(("a", "b", "c"), ("x", "y"))


def mixture(clones: Clones) -> Iterator[Row]:
    loader: dict[str, Any] = {}
    code = _mixture_code(clones, loader)

    def case(seed: int) -> float:
        ratio = (1, 1.5, 2, 3, 100)[seed % 5]
        y = torch.randint(3, (60,), generator=draws(seed)).clamp(max=1 + seed % 2)
        groups = Groups(CLASSES.target_names[: 2 + seed % 2], ("x",))
        ours: Any = class_mixture(y, groups, seed, ratio=ratio)
        data = SimpleNamespace(train_indices=np.arange(60), targets=y.numpy()[:, None])
        module = loader["module"] = SimpleNamespace(
            dataset_train=data, mixture_ratio=ratio, num_classes=groups.rows,
            _shuffle_in_unison=lambda rows, targets: _ours_first(ours, rows, targets),
            _data_loader=lambda data, sampler: (data.train_indices, *sampler),
        )  # fmt: skip
        module._make_balanced_subset = partial(code["_make_balanced_subset"], module)
        rows, weights, count = code["group_unbalanced_dataloader"](module, "mixture")
        theirs = np.zeros(60)
        theirs[rows] = weights
        return max(apart(theirs, ours.weights), abs(count - len(ours)))

    compared = (
        "weight of each row, draws per epoch, where their shuffle has our rows first; ratios 1 to "
        "100"
    )
    yield code.row("class_mixture", compared, map(case, range(10)), bar=1e-12)


def _mixture_code(clones: Clones, loader: dict[str, Any]) -> Piece:
    """Their loader of a mixture, and the one of its parent class, which weights the rows."""
    repository, folder = "tmlabonte/revisiting-finetuning", "milkshake/datamodules"
    space: dict[str, Any] = {"WeightedRandomSampler": lambda weights, draws: (weights, draws)}
    path = f"{folder}/datamodule.py"
    parent = clones.take(repository, path, "train_dataloader", space=space)["train_dataloader"]
    methods = SimpleNamespace(train_dataloader=lambda: parent(loader["module"]))
    space = {"super": lambda: methods, "Subset": _subset}
    names = ("_make_balanced_subset", "group_unbalanced_dataloader")
    return clones.take(repository, f"{folder}/retrain.py", *names, space=space)


def _subset(data: Any, rows: list[int]) -> Any:
    return SimpleNamespace(train_indices=np.array(rows), targets=data.targets)


def _ours_first(order: Weighted, rows: Any, targets: Any) -> tuple[Any, Any]:
    first = np.argsort(order.weights.numpy() == 0, kind="stable")
    return rows[first], targets[first]
