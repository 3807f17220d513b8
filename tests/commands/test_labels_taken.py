"""The column of labels is true: who takes one class refuses several, and the rest takes a step."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from debias import components
from debias.commands.list import labels_taken
from debias.methods import METHODS
from debias.strategies.strategy import Strategy
from debias.types import Batch, ContextPair, Groups
from tests.fakes import GROUPS, BackboneNetwork

LABELS = Groups(
    ("no", "yes", "no hat", "hat"),
    ("land", "water"),
    multi_label=True,
    contexts=(ContextPair(0, 1),),
)
#: One image of every combination of both labels and the bias, of the smallest side for all methods.
SAMPLES, SIDE = 8, 16
TARGET = torch.stack((torch.arange(SAMPLES) % 2, torch.arange(SAMPLES) // 2 % 2), dim=1)
BIAS = torch.arange(SAMPLES) // 4 % 2
#: Options without a default.
NEEDED = {
    "upweighted": {"copies": 2},
    "portion": {"share": 0.5},
    "cluster_balanced": {"powers": [1]},
    "padain": {"layers": ["layer1"]},
}
EVERY = [(kind, name) for kind in ("strategy", "sampler", "augment") for name in METHODS[kind]]


class Staged(BackboneNetwork):
    """Two stages of four maps, whose averages the head reads."""

    feature_size = 4

    def __init__(self, outputs: int) -> None:
        stages = {
            "conv1": nn.Conv2d(3, 4, 3, padding=1),
            "bn1": nn.BatchNorm2d(4),
            "maxpool": nn.MaxPool2d(2),
            "layer1": nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.Tanh()),
            "layer2": nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.Tanh()),
            "pool": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
        }
        super().__init__(nn.Sequential(OrderedDict(stages)), nn.Linear(4, outputs))


def facts(groups: Groups) -> dict[str, object]:
    several = groups.multi_label
    target = TARGET if several else TARGET[:, 0]
    return {
        "groups": groups,
        "samples": SAMPLES,
        "frequencies": groups.frequencies(target, BIAS),
        "class_frequencies": torch.bincount(groups.row(target).flatten(), minlength=groups.rows),
        "row": groups.row(target),
        "bias": BIAS,
        "group": groups.encode(target, BIAS),
        "occurring": torch.ones(groups.count, dtype=torch.bool),
        "partition": BIAS,
        "partition_by_row": BIAS,
        "chosen": BIAS == 1,
        "chosen_by_row": BIAS == 1,
        "batch_size": SAMPLES,
        "process_batch_size": SAMPLES,
        "importance": torch.ones(SAMPLES, dtype=torch.float64),
        "seed": 0,
        "model": Staged(groups.outputs),
        "image": torch.zeros(1, 3, SIDE, SIDE),
        "mean": (0.5, 0.5, 0.5),
        "std": (0.2, 0.2, 0.2),
        "read_folder": lambda folder: torch.zeros(2, 3, SIDE, SIDE),
        "read_weights": lambda path: {},
    }


def test_every_method_says_what_it_takes():
    taken = {
        (kind, name): labels_taken(kind, name)
        for kind, methods in METHODS.items()
        for name in methods
    }
    assert {*taken.values()} == {"one", "several", "any"}
    assert taken["recipe", "dfr"] == taken["sampler", "group_balanced"] == "one"
    assert taken["strategy", "erm"] == taken["sampler", "moment_matched"] == "any"
    assert taken["recipe", "contextual"] == taken["strategy", "context_cam"] == "several"


@pytest.mark.parametrize(("kind", "name"), [pytest.param(*each, id=each[1]) for each in EVERY])
def test_the_refusal_or_the_first_step(kind, name):
    section = {"name": name, **NEEDED.get(name, {})}
    taken = labels_taken(kind, name)
    if taken == "one":
        with pytest.raises(ValueError, match=r"one (class|group)|single target"):
            components.construct(kind, section, facts(LABELS))
        return
    if taken == "several":
        with pytest.raises(ValueError, match="needs several labels"):
            components.construct(kind, section, facts(GROUPS))
    made = components.construct(kind, section, facts(LABELS))
    if kind == "sampler":
        assert len(made.draw(torch.Generator().manual_seed(0))) > 0
    elif kind == "strategy":
        _check_first_step(made)


def _check_first_step(strategy: Strategy) -> None:
    images = torch.randn(SAMPLES, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(SAMPLES, 1, SIDE, SIDE)
    batch = Batch(images, TARGET, BIAS, torch.arange(SAMPLES), mask)
    batch = batch._replace(views=(batch,) * getattr(strategy, "views", 1))
    model = Staged(strategy.model_outputs(LABELS))
    for turn in strategy.turns(0):
        total = turn.objective(model, batch).total
        assert bool(total.isfinite())
        assert total.requires_grad


def test_recipes_need_one_class_or_several_labels():
    """Only the recipe of one stage takes both. MaskTune's maps explain one class."""
    taken = {name: labels_taken("recipe", name) for name in METHODS["recipe"]}
    assert {name for name in taken if taken[name] == "several"} == {"contextual"}
    assert {name for name in taken if taken[name] == "any"} <= {"single"}
