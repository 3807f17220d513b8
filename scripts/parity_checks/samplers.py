"""Compares samplers with the authors' code: the rows that each epoch may visit, and how often."""

from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Subset

from debias.data.orders import Weighted
from debias.data.progressive import Expanding
from debias.data.progressive import progressive as sampler
from debias.data.subsamples import class_mixture
from debias.types import Groups
from parity_checks.cases import Replaced, apart, draws
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
            _shuffle_in_unison=lambda rows, targets: ours_first(ours, rows, targets),
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


def ours_first(order: Weighted, rows: Any, targets: Any) -> tuple[Any, Any]:
    first = np.argsort(order.weights.numpy() == 0, kind="stable")
    return rows[first], targets[first]


class Labelled:
    """A data set as their sampler reads it."""

    collate, _n_classes = None, 3

    def __init__(self, group: Any, target: Any) -> None:
        self.metadata_array, self.y_array = group, target

    def __len__(self) -> int:
        return len(self.y_array)


def progressive(clones: Clones) -> Iterator[Row]:
    repository, ours = "uclaml/PDE", {"order": cast(Expanding, None)}
    space: dict[str, Any] = {
        "np": Replaced(np, {"random": SimpleNamespace(choice=partial(our_choice, ours))}),
        "Subset": Subset,
        "DataLoader": lambda data, **_: SimpleNamespace(dataset=data),
    }
    loader = clones.take(repository, "utils.py", "get_train_loader", space=space)

    def case(seed: int) -> float:
        options = {"warmup": (3, 0, 5)[seed % 3], "interval": (2, 1)[seed % 2], "added": 4 + seed}
        group = torch.randint(6, (90,), generator=draws(seed))
        order: Any = sampler(group, CLASSES, seed, **options)
        ours["order"], visited = order, []
        code = clones.take(repository, "train.py", "train", space=space | _loop(loader, visited))
        data, config, grouper = expansion(group, options)
        data["train"]["loader"] = loader["get_train_loader"](
            "standard", data["train"]["dataset"], 64, grouper=grouper, subsample=True
        )
        logger = SimpleNamespace(write=lambda _: None)
        code["train"](None, data, logger, config, 0, None, None, grouper)
        sets = [sorted(order.at(epoch).positions.tolist()) for epoch in range(config.n_epochs)]
        return float(sets != visited)

    compared = (
        "samples that each of 30 epochs may visit, by their loop, from our draws; warm-ups of 0 to "
        "5 epochs"
    )
    yield loader.row("progressive", compared, map(case, range(6)), bar=0.0)


def _loop(loader: Piece, visited: list[list[int]]) -> dict[str, Any]:
    """What their training loop calls; an epoch only notes the samples that it would visit."""

    def epoch(_: Any, data: Any, *__: Any, train: bool, **___: Any) -> Any:
        if train:
            visited.append(sorted(data["loader"].dataset.indices))
        return {"wg": 0}, None

    names = ("save_model_if_needed", "save_pred_if_needed")
    silent: dict[str, Any] = dict.fromkeys(names, lambda *_: None)
    return silent | {"run_epoch": epoch, "get_train_loader": loader["get_train_loader"]}


def our_choice(ours: dict[str, Expanding], pool: Any, size: int, replace: bool = True) -> Any:
    """The samples of the pool that we draw: from the balanced subsample, or from the rest."""
    order = ours["order"]
    first = order.positions[: order.start] if not replace else order.positions[order.start :]
    rows = first.numpy()
    return rows[np.isin(rows, pool)][:size]


def expansion(group: Tensor, options: dict[str, int]) -> tuple[Any, Any, Any]:
    """The data, config and grouper that their training loop reads."""
    data = Labelled(group.numpy(), (group // 2).numpy())
    config = SimpleNamespace(
        n_epochs=30, subsample_cap_milestones=[], add_start=options["warmup"],
        add_milestones=np.arange(options["warmup"], 30, options["interval"]),
        add_num=options["added"], subsample_ref="keep_in_class", uniform_add=False,
        transform_warmup_only=False, reinit_optim=None, train_loader="standard", batch_size=64,
        uniform_over_groups=None, uniform_over_classes=False, distinct_groups=True,
        n_groups_per_batch=4, loader_kwargs={}, val_metric="wg", val_metric_decreasing=False,
        evaluate_all_splits=False, eval_splits=[],
    )  # fmt: skip
    grouper = SimpleNamespace(metadata_to_group=grouped)
    return {"train": {"dataset": data}, "val": {"dataset": data}}, config, grouper


def grouped(metadata: Any, return_counts: bool = False) -> Any:
    """Their grouper, where the metadata is the group."""
    group = torch.as_tensor(metadata)
    return (group, torch.bincount(group, minlength=6)) if return_counts else group
