"""Compares the whole of ShortcutProbe with the authors' trainer: samples, pairs, both descents."""

from collections import defaultdict
from collections.abc import Iterator
from copy import deepcopy
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from debias.heads import shortcut_probe
from debias.heads.linear import Heads, Rows
from debias.recipes import shortcut_probe as recipe
from parity_checks.cases import Replaced, apart, draws, noted
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

PROBE, FEATURES, CLASSES, SIZE = "gtzheng/ShortcutProbe", 6, 3, 8
#: Where their trainer finds its parts.
PARTS = {
    "data/data_utils.py": (
        "PredDataset", "MisDataset", "JointDataset", "IdxDataset", "SubsetDataset",
    ),
    "data/sampler.py": (
        "ClassBalancedSampler", "RandomSampler", "JointRandomSampler", "ShortcutSampler",
    ),
    "data/embed_dataset.py": ("EmbedDataset",),
    "algorithms/utils.py": ("RunningVariance", "init_optimizer"),
    "utils.py": ("AverageMeter", "BestMetric"),
    "algorithms/algorithm.py": ("Algorithm",),
}  # fmt: skip
#: What their trainer reads; the rest follows from our settings.
CONFIG = {
    "last_layer": True, "scheduler_cls": "none", "split_train": 1.0, "split_val": 0.5,
    "batch_size": SIZE, "num_workers": 0, "use_shortcutwalk_dataset": True,
    "group_balanced": False, "class_balanced": False, "process_embeddings": False,
    "erm_model": "", "n_processes": 1, "eval_freq": 1, "optimizer_cls": "sgd",
    "optimizer_vec": "sgd", "num_batches": 0,
}  # fmt: skip
DESCENT = {"momentum": 0.9, "weight_decay": 1e-4}
BEST = "best_embed_val_subset2_worst_group_acc_model.pt"


class OurPairs:
    """``np.random`` of their two samplers: each choice is that of a pair that our search drew.

    A sample of ours that they do not offer becomes the first one that they offer.
    """

    def __init__(self, y: Tensor, opposed: list[Any], paired: list[Any]) -> None:
        self.y, self.opposed, self.paired = y, opposed, paired
        self.single: list[int] = []
        self.left: dict[int, Tensor] = {}
        self.trainer: Any = None

    def choice(self, pool: Any, size: int | None = None, replace: bool = True) -> Any:
        """The choice of our next pairs that corresponds to this one of theirs."""
        if size is None:
            return self.single.pop(0)
        return self._classes(size) if isinstance(pool, list) else self._rows(pool)

    def _classes(self, size: int) -> Any:
        """The classes of our wrong samples, whose places their next single choices give."""
        right, wrong = self.opposed.pop(0)
        kinds = self.trainer.dataloaders["embed_shortcut_train"].batch_sampler
        for one, other in zip(right, wrong, strict=True):
            key = int(self.y[other])
            place = _place(kinds.mis_index_dict[key], other)
            predicted = int(kinds.mis_pred_label_dict[key][place])
            self.single += [place, _place(kinds.cor_index_dict[predicted], one)]
        return np.resize(self.y[wrong].numpy(), size)

    def _rows(self, pool: Any) -> Any:
        """Places of our next wrong samples, or those of the right ones of the pool's class."""
        mis, cor = (of.indexes for of in self.trainer.datasets["embed_train_joint"].datasets)
        if not self.left:
            wrong, right = self.paired.pop(0)
            self.left = {int(y): right[self.y[wrong] == y] for y in self.y.unique()}
            return np.array([_place(mis, row) for row in wrong])
        rows = self.left.pop(int(self.y[cor[pool[0]]]))
        return np.array([_place(cor, row) for row in rows], dtype=int)


def _place(rows: Tensor, wanted: Tensor) -> int:
    found = (rows == wanted).nonzero().flatten().tolist()
    return found[0] if found else 0


def whole(clones: Clones) -> Iterator[Row]:
    ours: dict[str, Any] = {}
    source = _code(clones, ours)

    def case(seed: int) -> float:
        rows, start = _rows(seed)
        settings = {"size": 2 + seed % 2, "confident": (0.3, 0.0)[seed // 2 % 2], "length": 0.5}
        settings |= {"epochs": 5, "basis_rate": 0.05, "learning_rate": 0.05, "batch_size": SIZE}
        layer, basis = _ours(rows, start, settings, ours)
        theirs = ours["pairs"].trainer = _trainer(
            source["shortcutprobe"], rows, start, settings, ours["halves"]
        )
        theirs._init_training()
        features = (rows.features, rows.target, rows.target, rows.group)
        ours["features"] = [column.numpy() for column in features]
        theirs.train("", "val_subset1")
        head = ours["saved"][BEST]["model_sd"]
        return max(
            apart(theirs.spu_vecs.spu_vecs, basis),
            *(apart(head[f"fc.{name}"], value) for name, value in layer.state_dict().items()),
        )

    compared = (
        "basis and head by their trainer, from validation rows: sure samples, pairs by their "
        "samplers, 5 epochs of each descent, best epochs"
    )
    yield source.row("shortcut_probe", compared, map(case, range(6)), bar=1e-10)


def _rows(seed: int) -> tuple[Rows, Heads]:
    """Rows of three classes, which are the groups, and the first head."""
    generator = draws(seed)
    y = torch.arange(160) % CLASSES
    x = torch.randn(160, FEATURES, generator=generator) + nn.functional.one_hot(y, FEATURES)
    weights = torch.randn(1, CLASSES, FEATURES, generator=generator)
    return Rows(x, y, y), Heads(weights, torch.zeros(1, CLASSES))


def _ours(rows: Rows, start: Heads, settings: Any, ours: dict[str, Any]) -> tuple[Any, Tensor]:
    """The layer and the basis of our recipe, whose halves, pairs and start are recorded."""
    search, seen = shortcut_probe._Search, defaultdict[str, list[Any]](list)
    names = ("_opposed", "_paired", "basis")
    frozen: Any = SimpleNamespace(rows=lambda _: rows, head=start)
    with (
        patch.object(torch, "randn", noted(seen["start"], torch.randn)),
        patch.object(recipe, "halves", noted(seen["halves"], recipe.halves)),
        patch.multiple(
            search, **{name: noted(seen[name], getattr(search, name)) for name in names}
        ),
    ):
        layer = recipe.ShortcutProbe(**settings).fit(frozen, 3)
    pairs = OurPairs(rows.target[seen["halves"][0][0]], seen["_opposed"], seen["_paired"])
    ours |= {"pairs": pairs, "halves": seen["halves"][0], "start": seen["start"][0], "saved": {}}
    return layer, seen["basis"][0]


def _code(clones: Clones, ours: dict[str, Any]) -> Piece:
    """Their trainer; it gets our draws, and saves into a dictionary."""
    random = SimpleNamespace(choice=lambda *given, **of: ours["pairs"].choice(*given, **of))
    replaced = {
        "save": lambda what, file: ours["saved"].update({file: deepcopy(what)}),
        "load": lambda file, **_: ours["saved"][file],
        "normal": lambda mean, deviation: ours["start"] * deviation,
    }
    paths = SimpleNamespace(join=lambda _, file: file, dirname=str)
    space: dict[str, Any] = {
        "Dataset": Dataset, "DataLoader": DataLoader, "np": Replaced(np, {"random": random}),
        "torch": Replaced(torch, replaced), "os": SimpleNamespace(path=paths),
        "tqdm": lambda given, **_: given, "log": lambda _: None, "time_str": str,
        "Timer": lambda: SimpleNamespace(t=float), "register_algorithm": lambda _: lambda cls: cls,
        "extract_feature_info": lambda *_, **__: ours["features"],
    }  # fmt: skip
    for file, names in PARTS.items():
        space = clones.take(PROBE, file, *names, space=space).space
    names = ("SpuriousVectors", "shortcutprobe")
    return clones.take(PROBE, "algorithms/shortcut_probe.py", *names, space=space)


def _trainer(cls: Any, rows: Rows, start: Heads, settings: dict[str, Any], halves: Any) -> Any:
    """Their trainer of our settings, made without their data and networks."""
    made = cls.__new__(cls)
    nn.Module.__init__(made)
    made.device, made.n_classes = "cpu", CLASSES
    made.config = SimpleNamespace(
        **CONFIG, n_base=settings["size"], mis_ratios=[settings["confident"]],
        sem_reg=settings["length"], spu_reg=5.0,
        optimizer_cls_kwargs=DESCENT | {"lr": settings["learning_rate"]},
        optimizer_vec_kwargs=DESCENT | {"lr": settings["basis_rate"]},
        shortcutprobe1_epochs=settings["epochs"], shortcutprobe2_epochs=settings["epochs"],
    )  # fmt: skip
    split = SimpleNamespace(confounder_array=rows.group.numpy())
    made.datasets = {"train": split, "val": split, "test": split}
    made.datasets |= {f"val_indexes{n}": half.numpy() for n, half in enumerate(halves, 1)}
    made.dataloaders = dict.fromkeys(("train_no_aug", "val", "test"))
    made.model, made.spu_vecs = nn.Module(), nn.Linear(1, 1)
    made.model.fc, made.model.num_features = start.linear(0), FEATURES
    return made
