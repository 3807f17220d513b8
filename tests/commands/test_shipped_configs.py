"""Shipped configs on built-in data in their layout: all build, every method trains and reports."""

import json
import re
from itertools import takewhile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from omegaconf import OmegaConf

from debias import components, presets, shipped_configs
from debias import config as configs
from debias.commands.train import train
from debias.data.sets.drawn_birds import drawn_birds
from debias.data.trees.samples import write_sample
from debias.runs.run import Run
from debias.sweeps.published import BENCHMARKS
from tests.data.made.small_files import write_digits
from tests.data.sets.test_biased_mnist import write_mnist

SMALL = [
    "model.pretrained=false",
    "preprocessing.size=32",
    "precision=32-true",
    "epochs=1",
    "batch_size=16",
    "progress=false",
]
#: Options of a strategy or a recipe that say how long its stages are.
STAGES = {"pretraining": 1, "warmup": 1, "swap_after": 1}
RECIPES = {
    "epochs": 1,
    "steps": 5,
    "subsamples": 2,
    "early_epochs": [1],
    "threshold": 0.0,
    "models": 2,
    "rounds": 3,
    "width": 2,
    "blocks": 0,
}
SHIPPED = shipped_configs.names()
#: Every shipped config, and every line that replaces a config of before: a config and overrides.
CASES = {
    line: configs.load(line.split()[0], line.split()[1:])
    for line in dict.fromkeys([*SHIPPED, *shipped_configs.former().values()])
}
#: What the first lines of a config say, in this order.
FACTS = ("Setting", "Reached", "Costs", "Differs")
KINDS = ("recipe", "strategy", "sampler", "augment")
#: Options of sets made of a few hundred digits: every digit has an image in every colour.
MADE = {
    "coloured_mnist_lff": {"skew": 0.9, "leave_out": 0, "val": 0},
    "coloured_mnist_cnc": {"share": 0.5, "val": 100},
    "mnist_squares": {"val": 100},
    "drawn_shapes": {"train": 64, "val": 32, "test": 16},
    "fractals": {"systems": 4, "train": 48, "val": 16, "test": 16, "size": 32},
}
ATTRIBUTES = ("Blond_Hair", "Male", "Smiling", "Wearing_Hat")


@pytest.fixture(scope="session")
def roots(tmp_path_factory) -> dict[str, str]:
    """A small data set in the layout of each that configs are shipped for."""
    folder = tmp_path_factory.mktemp("layouts")
    birds = folder / "birds"
    drawn_birds(root=str(birds), train=80, val=40, test=40, size=32)
    release = folder / "release"
    release.mkdir()
    (release / "waterbird_complete95_forest2water2").symlink_to(birds)
    (release / "segmentations").symlink_to(birds / "segmentations")
    write_mnist(folder / "mnist")
    celeba = write_celeba(folder / "celeba")
    found = {
        "drawn_birds": birds,
        "waterbirds": release,
        "celeba": celeba,
        "biased_mnist": folder / "mnist",
        "fb_biased_mnist": folder / "mnist",
    }
    for name in {config.data["name"] for config in CASES.values()} - set(found):
        preset = presets.preset(name)
        found[name] = folder / name
        if preset.made_from == "nothing":
            found[name].mkdir()
        elif preset.made_from == "mnist":
            write_digits(found[name], train=500, test=200)
        else:
            write_sample(preset, found[name], preset.sample.each)
    return {name: str(root) for name, root in found.items()}


def write_celeba(root: Path, faces: int = 96) -> Path:
    """Random faces of 178x218 in the release's layout, every combination of attributes a split."""
    generator = np.random.default_rng(0)
    names = [f"{number + 1:06d}.jpg" for number in range(faces)]
    (root / "img_align_celeba").mkdir(parents=True)
    for name in names:
        picture = generator.integers(0, 256, (218, 178, 3), dtype=np.uint8)
        cv2.imwrite(str(root / "img_align_celeba" / name), picture)
    bits = [
        [1 if number >> bit & 1 else -1 for bit in range(len(ATTRIBUTES))]
        for number in range(faces)
    ]
    rows = [f"{name} {' '.join(map(str, row))}" for name, row in zip(names, bits, strict=True)]
    (root / "list_attr_celeba.txt").write_text(
        "\n".join([str(faces), " ".join(ATTRIBUTES), *rows, ""])
    )
    splits = [f"{name} {min(number // 32, 2)}" for number, name in enumerate(names)]
    (root / "list_eval_partition.txt").write_text("\n".join([*splits, ""]))
    return root


def cut(options: dict[str, Any]) -> dict[str, Any]:
    """Options of a recipe, and of its stages, with few steps."""
    return {
        key: cut(value) if isinstance(value, dict) else RECIPES.get(key, value)
        for key, value in options.items()
    }


def trained_ones() -> list[str]:
    """Of all cases that share the reader of their data, or all their components, the first: drawn
    birds before the rest.
    """
    seen: set[object] = set()
    chosen = []
    for name in sorted(CASES, key=lambda name: (not name.startswith("drawn_birds"), name)):
        config = CASES[name]
        methods = tuple(getattr(config, kind)["name"] for kind in KINDS)
        reader = presets.preset(config.data["name"]).reader
        if {reader, methods} - seen:
            chosen.append(name)
        seen |= {reader, methods}
    return chosen


def cut_epoch(config: configs.Config) -> None:
    """Fewer visits in the only epoch of a config, and a rate that does not change."""
    few = {"repeats": 1, "visits": 48, "multiple": 16}
    config.sampler |= {key: few[key] for key in few.keys() & config.sampler.keys()}
    if config.sampler["name"] == "progressive":
        config.sampler["warmup"] = 0
    if "at" in config.scheduler:
        config.scheduler = {"name": "constant"}


def cut_down(name: str, roots: dict[str, str], folder: Path) -> configs.Config:
    """A case on a small data set, with few steps."""
    source, *names = name.split()
    whole = configs.load(source, names)
    layers = whole.model["name"] == "layers"
    places = [f"out={folder}/runs", f"cache_dir={folder}/cache"]
    config = configs.load(source, [*names, *SMALL, *places])
    if layers:  # a small network, of pictures of its own size
        config.preprocessing = whole.preprocessing
    if presets.preset(config.data["name"]).made_from:
        config.data |= MADE.get(config.data["name"], {})
    cut_epoch(config)
    # the stages of a strategy, cut to this run of few steps
    config.strategy |= {
        option: steps for option, steps in STAGES.items() if option in config.strategy
    }
    config.recipe = cut(config.recipe)
    if config.recipe["name"] == "bias_ensemble":
        config.recipe |= {"networks": 2, "agreement": 1}
    if config.recipe["name"] == "bcsi":
        config.recipe |= {"networks": 1, "top": 10}
    # after one epoch of one, nothing is early, and Echoes has not begun
    config.epochs += "early_epochs" in config.recipe or config.strategy["name"] == "echoes"
    recipe = config.recipe["name"]
    if components.find("recipe", recipe).infers and recipe != "ula":  # which needs its strategy
        # a stage of few steps may find no sample of some value in a class
        config.strategy, config.sampler = {"name": "erm"}, {"name": "shuffled"}
    config.data["root"] = roots[config.data["name"]]
    if config.data["name"] == "drawn_birds":
        config.data |= {"train": 80, "val": 40, "test": 40, "size": 32}
    if config.data["name"] == "biased_mnist":
        config.data |= {"rho": 0.9, "val": 20}
    elif config.data["name"] == "fb_biased_mnist":  # the digits are too few for 1,000 groups
        config.data |= {"bias": "background", "val": 20}
    elif not layers:
        config.model["name"] = "test_resnet"
    if config.model["name"] == "simple_conv_k7":  # it has no strides
        config.preprocessing["size"] = 8
    if config.recipe["name"] in ("masktune", "dac") and not layers:
        config.preprocessing["size"] = 64  # at 32, the small network's map has a single place
    return config


@pytest.mark.filterwarnings("ignore:.*no training image in:UserWarning")  # 200 digits in 100 groups
# no batch has two of a class and bias
@pytest.mark.filterwarnings("ignore:terms of the loss are numerically zero")
@pytest.mark.filterwarnings("ignore:.*so that it is never trained")  # after a few steps
@pytest.mark.parametrize("name", CASES)
def test_every_config_builds_whatever_it_trains(name, roots, tmp_path):
    config = cut_down(name, roots, tmp_path)
    run = Run(config, tmp_path / "run")
    parts = run.check(components.construct("recipe", config.recipe, {}))
    assert len(parts.data.order) > 0
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*no training image in:UserWarning")  # 200 digits in 100 groups
# no batch has two of a class and bias
@pytest.mark.filterwarnings("ignore:terms of the loss are numerically zero")
@pytest.mark.filterwarnings("ignore:.*so that it is never trained")  # after a few steps
@pytest.mark.parametrize("name", trained_ones())
def test_runs_end_to_end(name, roots, tmp_path):
    run = train(cut_down(name, roots, tmp_path))
    report = json.loads((run / "report.json").read_text())
    assert report["config"]["name"] == name.split()[0]
    groups = report["data"]["groups"]
    assert [group["name"] for group in report["metrics"]["test"]["groups"]] == groups
    assert sum(group["count"] for group in report["metrics"]["test"]["groups"]) == sum(
        report["data"]["counts"]["test"]
    )
    measured = [group["accuracy"] for group in report["metrics"]["test"]["groups"]]
    accuracies = [accuracy for accuracy in measured if accuracy is not None]
    assert report["metrics"]["test"]["scalars"]["worst_group"] == min(accuracies, default=None)
    assert (run / "report.html").is_file()
    assert (tmp_path / "cache").is_dir()
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "cache"}


def test_every_method_is_trained_somewhere():
    """Every method that has a config, or had one, runs end to end in a case."""
    for kind in KINDS:
        shipped = {getattr(config, kind)["name"] for config in CASES.values()}
        assert shipped == {getattr(CASES[name], kind)["name"] for name in trained_ones()}


def facts_of(name: str) -> list[tuple[str, str]]:
    """The facts in the comment above a config's keys, each with its text."""
    text = (shipped_configs.folder() / f"{name}.yaml").read_text(encoding="utf-8")
    above = text.partition("\n\n")[0].split("\n")
    lines = [line.removeprefix("# ") for line in takewhile(lambda line: line[:2] == "# ", above)]
    joined = re.sub(rf" ({'|'.join(FACTS)}): ", r"\n\1: ", " ".join(lines))
    return [(fact, text) for fact, _, text in (line.partition(": ") for line in joined.split("\n"))]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_config_begins_with_four_facts_and_holds_a_value(name):
    """Whose setting, what it reached, its cost (with epochs or steps), and what differs."""
    facts = facts_of(name)
    assert tuple(dict.fromkeys(fact for fact, _ in facts)) == FACTS
    assert all(text.endswith(".") for _, text in facts)
    assert re.search(rf"\b{CASES[name].epochs}( \+ 1)? epochs?|\d steps\b", dict(facts)["Costs"])
    layer = OmegaConf.to_container(OmegaConf.load(shipped_configs.folder() / f"{name}.yaml"))
    assert [key for key in keys_of(layer) if key not in ("name", "extends")]


def keys_of(layer: dict[str, Any]) -> list[str]:
    """Keys of values that are no sections, at any depth."""
    return [
        name
        for key, value in layer.items()
        for name in (keys_of(value) if isinstance(value, dict) else [key])
    ]


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        (setting.config, setting)
        for settings in BENCHMARKS.values()
        for setting in settings
        if setting.config.endswith(setting.name)
    ],
)
def test_what_a_config_reached_is_the_published_figure(name, setting):
    assert setting.figure in dict(facts_of(name))["Reached"]


def test_a_config_of_before_says_what_replaces_it():
    assert not set(shipped_configs.former()) & set(SHIPPED)
    with pytest.raises(ValueError, match=r"config 'celeba/rwg' was removed.* write celeba sampler"):
        configs.load("celeba/rwg")
