"""PnD's two stages: their options, where the second one starts, an interrupted run."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from debias import components
from debias import config as configs
from debias.recipes.pnd import PnD
from debias.runs.run import Run
from tests.commands.conftest import overrides

OPTIONS = (
    *("strategy.name=partition", "strategy.width=8", "strategy.layers=[layer1,layer4]"),
    *("data.train=48", "data.val=16", "data.test=16"),
    *("recipe.name=pnd", "recipe.experts.epochs=1", "epochs=1"),
)


def config_of(folder: Path, *more: str) -> configs.Config:
    return configs.load("drawn_birds", overrides(folder, *OPTIONS, *more))


def trained(config: configs.Config, folder: Path) -> Any:
    """Model and strategy after both stages, without predictions and report."""
    recipe: Any = components.construct("recipe", config.recipe, {})
    return recipe.train(Run(config, folder)).parts.module


class Finished(NamedTuple):
    """A run of both stages: its config, its folder, and the weights and memories of its end."""

    config: configs.Config
    folder: Path
    state: dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Finished:
    folder = tmp_path_factory.mktemp("pnd")
    config = config_of(folder)
    return Finished(config, folder, trained(config, folder).state_dict())


def test_the_first_stage_has_its_own_weights_and_no_contrast(tmp_path: Path) -> None:
    """All else is the run's: its sampler, its options of the strategy."""
    more = ("sampler.name=class_balanced", "strategy.contrast_weight=3", "recipe.experts.seed=7")
    run = Run(config_of(tmp_path, *more, "recipe.debiased_weight=0.3"), tmp_path)
    first, last = components.construct("recipe", run.config.recipe, {}).stages(run)
    options = {"name": "partition", "width": 8, "layers": ["layer1", "layer4"]}
    assert first.strategy == options | {"debiased_weight": 0.3, "contrast_weight": 0.0}
    assert last.strategy == options | {"contrast_weight": 3}
    assert [each.sampler["name"] for each in (first, last)] == ["class_balanced"] * 2
    assert [each.recipe["name"] for each in (first, last)] == ["single"] * 2
    assert (first.epochs, first.seed, last.seed) == (1, 7, run.config.seed)
    assert PnD().debiased_weight == 0.2


def test_the_last_stage_starts_from_all_that_the_first_one_learnt(
    run: Finished, tmp_path: Path
) -> None:
    """At a learning rate of 0 its parameters are still those of the first one."""
    shutil.copytree(run.folder / "stages", tmp_path / "stages")
    module = trained(configs.changed(run.config, {"optimizer": {"lr": 0.0}}), tmp_path)
    file = run.folder / "stages" / "experts" / "checkpoints" / "last.ckpt"
    state = torch.load(file, weights_only=True)["state_dict"]
    for name, value in module.named_parameters():
        assert torch.equal(state[name], value), name
    seen = (module.strategy.difficulty[0].biased.target >= 0).sum()
    assert seen == (state["strategy.difficulty.0.biased.target"] >= 0).sum() > 0


def test_an_interrupted_run_ends_as_one_without_a_break(run: Finished, tmp_path: Path) -> None:
    """Only the first stage was finished."""
    shutil.copytree(run.folder / "stages", tmp_path / "stages")
    found = trained(run.config, tmp_path).state_dict()
    assert found.keys() == run.state.keys()
    for name, value in run.state.items():
        assert torch.equal(found[name], value), name
