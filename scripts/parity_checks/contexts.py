"""Compares trainings against contextual bias with the loops of their replication."""

from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from debias.losses.contexts import competition
from debias.metrics.shortcuts.context import biased_pairs, contextual_bias
from debias.strategies.context_cam import ContextCAM
from debias.strategies.context_weighting import ContextWeighting
from debias.strategies.feature_split import FeatureSplit
from debias.types import Batch, ContextPair, Groups, Outputs
from parity_checks.cases import Replaced, apart, both, draws
from parity_checks.games import descent, play
from parity_checks.official import Clones, Piece
from parity_checks.rows import Row

AUTHORS = "princetonvisualai/ContextualBias"
LABELS = Groups(
    tuple(name for label in "abcd" for name in (f"no {label}", label)),
    ("x", "y"),
    multi_label=True,
    contexts=(ContextPair(0, 1), ContextPair(3, 2)),
)
MAPPED = {pair.label: pair.context for pair in LABELS.contexts}
IMAGES, STEPS, FEATURES = 60, 12, 6


class Mapped(nn.Module):
    """A network of six maps of 7 x 7 positions, whose averages the head reads."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, FEATURES, 3, padding=1), nn.Tanh(), Average())
        self.head = nn.Linear(FEATURES, LABELS.outputs)

    def forward(self, image: Tensor) -> Outputs:
        features = self.backbone(image)
        return Outputs(self.head(features), features)


class Average(nn.Module):
    """The average of maps over their positions."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean(dim=(2, 3))


class Theirs(nn.Module):
    """The same network with the names that their loops read."""

    def __init__(self, network: Mapped) -> None:
        super().__init__()
        self.resnet = nn.Module()
        self.resnet.layers, self.resnet.pool = network.backbone[:2], network.backbone[2]
        self.resnet.fc = network.head

    def forward(self, image: Tensor) -> Tensor:
        found: Tensor = self.resnet.fc(self.resnet.pool(self.resnet.layers(image)))
        return found


def context_cam(clones: Clones) -> Iterator[Row]:
    on_cpu = Replaced(torch, {"device": lambda *_: torch.Generator().device})
    code = clones.take(AUTHORS, "classifier.py", "train_cam", space={"torch": on_cpu})

    def case(seed: int) -> float:
        model, given = _start(seed)
        learner, start = _learner(model), Theirs(deepcopy(model))
        ours = ContextCAM(LABELS, model, given[0].image[:1], overlap_weight=0.7, keep_weight=0.4)
        moved, kept = _followed(learner.model.resnet.layers), _followed(start.resnet.layers)
        code["train_cam"](
            learner, _loader(given), SimpleNamespace(model=start), MAPPED, kept, moved,
            lambda1=0.7, lambda2=0.4,
        )  # fmt: skip
        return _played(model, ours, given, learner)

    compared = "the network after 12 steps: maps, their scaling, both means, order, frozen maps"
    yield code.row("context_cam", compared, map(case, range(4)), bar=1e-10)


def feature_split(clones: Clones) -> Iterator[Row]:
    weights = _counting(clones, "calculate_featuresplit_weight")
    code = clones.take(AUTHORS, "classifier.py", "train_featuresplit")

    def case(seed: int) -> float:
        model, given = _start(seed)
        learner, row = _learner(model), _rows(given)
        least = (0.5, 3.0)[seed % 2]
        ours = FeatureSplit(LABELS, row, model, given[0].image[:1], least_weight=least)
        alpha = weights(row, 4, MAPPED, alpha_min=least)
        pooled = _followed(learner.model.resnet.pool)
        second = np.arange(FEATURES)[FEATURES // 2 :]
        code["train_featuresplit"](learner, _loader(given), MAPPED, alpha, [], pooled, second)
        return _played(model, ours, given, learner)

    compared = "the network after 12 steps: weights from counts, mean of 10 batches, hidden half"
    because = "our weights are float32"
    yield code.row("feature_split", compared, map(case, range(4)), bar=1e-5, because=because)


def context_weighting(clones: Clones) -> Iterator[Row]:
    balance = _counting(clones, "calculate_classbalancing_weight")
    loops = {"label": "weighted", "context": "negativepenalty", "balanced": "classbalancing"}
    code = clones.take(AUTHORS, "classifier.py", *(f"train_{loop}" for loop in loops.values()))

    def case(rule: str) -> float:
        model, given = _start(5)
        learner, row = _learner(model), _rows(given)
        options: dict[str, Any] = {"rule": rule, "beta": 0.9, "strength": 7.0}
        ours = ContextWeighting(LABELS, row, **options)
        loop = partial(code[f"train_{loops[rule]}"], learner, _loader(given), MAPPED)
        loop(balance(row, 4, MAPPED, beta=0.9) if rule == "balanced" else 7.0)
        return _played(model, ours, given, learner)

    compared = "the network after 12 steps: weighted, negative penalty, class-balancing"
    because = "our weights are float32"
    yield code.row("context_weighting", compared, map(case, loops), bar=1e-5, because=because)


def attribute_decorrelation(clones: Clones) -> Iterator[Row]:
    code = clones.lines(AUTHORS, "classifier.py", 345, 358)
    groups = [[0, 2], [1], [3]]

    def penalty(weight: Tensor) -> Tensor:
        given = {"self": SimpleNamespace(hidden_size=FEATURES), "W": weight}
        found = code.run(given | {"semantic_attributes_idxs": groups})
        result: Tensor = found["compshare_loss"]
        return result

    gaps = [
        both(penalty, lambda w: competition(w, groups), torch.randn(4, FEATURES, generator=g))
        for g in map(draws, range(6))
    ]
    compared = "penalty of a head: value, and gradient where theirs has one"
    yield code.row("attribute_decorrelation", compared, gaps, bar=1e-10)


def contextual(clones: Clones) -> Iterator[Row]:
    code = clones.take(AUTHORS, "biased_categories.py", "bias")
    search = clones.lines(AUTHORS, "biased_categories.py", 146, 181)

    def found(scores: Tensor, held_out: Tensor, training: Tensor) -> list[list[float]]:
        names = {place: str(place) for place in range(scores.shape[1])}
        given = {
            "arg": {"nclasses": len(names), "cooccur": 0.5}, "np": np, "bias": code["bias"],
            "print": lambda *_, **__: None, "scores_dict": scores,
            "label_to_img_20": _images(held_out), "label_to_img_80": _images(training),
            "onehot_to_humanlabels": names,
            "humanlabels_to_onehot": {name: place for place, name in names.items()},
        }  # fmt: skip
        space = search.run(given)
        rows: list[list[float]] = space["biased_pairs"][space["top_20_idx"][::-1]].tolist()
        return [row for row in rows if row[2]]

    def case(seed: int) -> float:
        generator = draws(seed)
        scores = torch.rand(40, 6, generator=generator)
        held_out, training = (torch.randint(2, (40, 6), generator=generator) for _ in range(2))
        ours = biased_pairs(scores, held_out, share=0.5, shared=training)
        values = [[*pair, contextual_bias(scores, held_out, pair).item()] for pair in ours]
        return apart(found(scores, held_out, training), values)

    compared = "the pairs of six labels, their order and bias, from two sets of images"
    yield code.row("contextual", compared, map(case, range(6)), bar=1e-10)


def _images(labels: Tensor) -> list[list[int]]:
    """The images of each label."""
    return [column.nonzero().flatten().tolist() for column in labels.T]


def _start(seed: int) -> tuple[Mapped, list[Batch]]:
    """A network and batches of a small data set, in which all labels are common."""
    torch.manual_seed(seed)
    model, generator = Mapped(), draws(seed)
    images = torch.randn(IMAGES, 3, 7, 7, generator=generator)
    labels = (torch.rand(IMAGES, 4, generator=generator) < 0.6).long()
    drawn = [torch.randperm(IMAGES, generator=generator)[:16] for _ in range(STEPS)]
    return model, [Batch(images[rows], labels[rows], labels[rows, 0], rows) for rows in drawn]


def _rows(given: list[Batch]) -> Tensor:
    return LABELS.row(torch.cat([batch.target for batch in given]))


def _loader(given: list[Batch]) -> list[tuple[Tensor, Tensor, Tensor]]:
    return [(batch.image, batch.target.double(), batch.index) for batch in given]


def _learner(model: Mapped) -> Any:
    """The object whose attributes their loops read."""
    network = Theirs(deepcopy(model))
    return SimpleNamespace(
        model=network, forward=network, optimizer=descent(network.parameters()), print_freq=0,
        device="cpu", dtype=torch.float64, epoch=1,
    )  # fmt: skip


def _followed(layer: nn.Module) -> list[Tensor]:
    """A list that every output of a layer is added to, as their hooks do."""
    found: list[Tensor] = []
    layer.register_forward_hook(lambda *call: found.append(call[2]))
    return found


def _played(model: Mapped, ours: Any, given: list[Batch], learner: Any) -> float:
    play(model, ours, given)
    pairs = zip(learner.model.parameters(), model.parameters(), strict=True)
    return max(apart(theirs, own) for theirs, own in pairs)


def _counting(clones: Clones, name: str) -> Any:
    """Their function that counts labels, on labels that it gets in place of a file."""
    space: dict[str, Any] = {"open": lambda table, _: table, "print": lambda *_, **__: None}
    space["pickle"] = SimpleNamespace(load=lambda table: table)
    code: Piece = clones.take(AUTHORS, "load_data.py", name, space=space)
    return lambda row, *rest, **options: code[name](
        dict(enumerate((row % 2).unbind())), *rest, **options
    )
