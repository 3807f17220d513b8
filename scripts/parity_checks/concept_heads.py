"""Compares KnoBo's classifiers of concepts, and its head on concepts, with the authors' code."""

import copy
import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional as F

from debias.heads.concepts import fit_bottleneck, ground_concepts, held_out_size
from debias.heads.linear import Rows, fresh_heads
from debias.losses.weight_prior import weight_prior
from parity_checks.cases import apart, both, draws
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

KNOBO = "YueYANG1996/KnoBo"
EPOCHS, BATCH, FITTED = 8, 20, 90


def prior(clones: Clones) -> Iterator[Row]:
    code = clones.take(KNOBO, "modules/utils.py", "compute_prior_loss")

    def case(seed: int) -> float:
        classes, concepts = 2 + seed, 5 * (seed + 1)
        weights = (0.3, 1.0, 5.0)[seed] * torch.randn(classes, concepts, generator=draws(seed))
        signs = torch.randint(-1, 2, (classes, concepts), generator=draws(seed + 9)).to(weights)

        def theirs(given: Tensor) -> Tensor:
            model = SimpleNamespace(linear=SimpleNamespace(weight=given), prior=signs)
            return torch.as_tensor(code["compute_prior_loss"](model))

        return both(theirs, lambda given: weight_prior(given, signs), weights)

    compared = "prior of the weights: value, gradient; 2 to 4 classes, small and large weights"
    yield code.row("concept_bottleneck", compared, map(case, range(3)), bar=1e-12)


def bottleneck(clones: Clones) -> Iterator[Row]:
    space = {**clones.take(KNOBO, "modules/utils.py", "compute_prior_loss").space, "copy": copy}
    models = clones.take(KNOBO, "modules/models.py", "MultiClassLogisticRegression")
    code = clones.take(KNOBO, "modules/cbm.py", "train_model", "evaluate_model", space=space)
    compared = (
        "head on concepts after the best of 8 epochs of Adam, a smaller last batch, plain accuracy "
        "of held-out rows; with and without the prior, 2 and 3 classes"
    )
    gaps = (_bottleneck(models, code, seed) for seed in range(4))
    yield code.row("concept_bottleneck", compared, gaps, bar=1e-10)


def _bottleneck(models: Piece, code: Piece, seed: int) -> float:
    """Difference of the selected heads, from one start and with the batches that ours draws."""
    classes, generator = 2 + seed % 2, draws(seed)
    y = torch.randint(classes, (FITTED + 60,), generator=generator)
    shown = (torch.randn(len(y), 6, generator=generator) + F.one_hot(y, 6)).sigmoid()
    signs = torch.randint(-1, 2, (classes, 6), generator=generator).to(shown)
    fitting, judged = slice(FITTED), slice(FITTED, None)
    twin = draws(seed + 9)
    model = models["MultiClassLogisticRegression"](6, classes, signs, apply_prior=seed < 2)
    start = fresh_heads(1, classes=classes, size=6, generator=twin).linear(0)
    model.linear.load_state_dict(start.state_dict())
    orders = [torch.randperm(FITTED, generator=twin).split(BATCH) for _ in range(EPOCHS)]
    theirs = code["train_model"](
        model, _Epochs(shown, y, orders), [(shown[judged], y[judged])],
        torch.optim.Adam(model.parameters(), lr=0.05), nn.CrossEntropyLoss(), EPOCHS,
    )  # fmt: skip
    everyone = torch.zeros(60, dtype=torch.int64)
    ours = fit_bottleneck(
        Rows(shown[fitting], y[fitting], y[fitting]), draws(seed + 9), classes=classes,
        prior=signs if seed < 2 else None, held_out=Rows(shown[judged], y[judged], everyone),
        learning_rate=0.05, epochs=EPOCHS, batch_size=BATCH,
    )  # fmt: skip
    return max(
        apart(theirs.linear.weight, ours.head.weight), apart(theirs.linear.bias, ours.head.bias)
    )


class _Epochs:
    """A loader whose every pass gives the batches of the next epoch."""

    def __init__(self, features: Tensor, target: Tensor, orders: list[Any]) -> None:
        self.features, self.target, self.orders = features, target, iter(orders)

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for rows in next(self.orders):
            yield self.features[rows], self.target[rows]


def grounding(clones: Clones) -> Iterator[Row]:
    kept: list[Any] = []
    files = {
        "os": SimpleNamespace(path=SimpleNamespace(exists=lambda _: True)),
        "open": lambda *_: _Nowhere(),
        "pickle": SimpleNamespace(dump=lambda model, _: kept.append(model)),
    }
    code = clones.take(
        KNOBO, "modules/train_grounding.py", "get_mapping", "train_binary_model",
        space={**files, "random": random, "train_test_split": train_test_split,
               "LogisticRegression": _one_job},
    )  # fmt: skip
    sizes = ((99, 300), (100, 110), (700, 520), (3000, 1500), (40, 40))
    compared = (
        "number of held-out images, concepts left out; weights and held-out accuracy of a "
        "classifier on our rows, at most 1,000 of a side"
    )
    gaps = [_sizes(code, *each) for each in sizes]
    gaps += [_classifier(code, kept, seed) for seed in range(3)]
    yield code.row(
        "concept_bottleneck", compared, gaps, bar=1e-6, because="tolerance of the solver"
    )


def _one_job(**options: Any) -> LogisticRegression:
    return LogisticRegression(max_iter=options["max_iter"], class_weight=options["class_weight"])


class _Nowhere:
    """A file that is not written."""

    def __enter__(self) -> "_Nowhere":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def write(self, text: str) -> None:
        """Write nothing."""


def _sizes(code: Piece, positive: int, negative: int) -> float:
    """Difference of the numbers of held-out images; a concept that is left out has none."""
    ids = {side: [f"{side}{i}" for i in range(count)]
           for side, count in (("positive", positive), ("negative", negative))}  # fmt: skip
    images = {one: {"images": [one]} for each in ids.values() for one in each}
    found = code["get_mapping"]("skin", {"c": ids}, "c", images, set(images), 10_000, 2000)
    label = (torch.arange(positive + negative) < positive).long()
    features = torch.randn(len(label), 3, generator=draws(0))
    used = len(ground_concepts(features, label[:, None], draws(0)).used)
    ours = held_out_size(min(positive, negative)) if used else 0
    return apart([len(found["0"]["val"]) if found else 0], [ours])


def _classifier(code: Piece, kept: list[Any], seed: int) -> float:
    """Difference of two classifiers of the same rows, those that ours draws."""
    generator = draws(seed)
    count = (600, 900, 3600)[seed]
    label = (torch.rand(count, generator=generator) < 0.4).long()
    features = torch.randn(count, 8, generator=generator) + label[:, None] * (0.2 + seed)
    ours = ground_concepts(features, label[:, None], draws(seed + 9))
    twin, mapping = draws(seed + 9), {}
    sides = [(label == side).nonzero().flatten() for side in (0, 1)]
    sides = [rows[torch.randperm(len(rows), generator=twin)].tolist() for rows in sides]
    held = held_out_size(min(map(len, sides)))
    most = min(*map(len, sides), held + 1000)
    for side, rows in zip("01", sides, strict=True):
        mapping[side] = {"train": rows[held:most], "val": rows[:held]}
    unit = features / features.norm(dim=-1, keepdim=True)
    code["train_binary_model"]("c", mapping, dict(enumerate(unit)), "")
    theirs = kept.pop()
    judged = [row for side in "01" for row in mapping[side]["val"]]
    accuracy = theirs.score(unit[judged], label[judged])
    return max(
        apart(theirs.coef_, ours.weights),
        apart(theirs.intercept_, ours.biases),
        apart([accuracy], ours.accuracy),
    )
