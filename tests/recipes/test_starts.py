"""Where the last stage starts: from new weights, in the recipes whose first model only infers
groups, or from the model of the stage before it.
"""

from pathlib import Path

import pytest
import torch

from debias import components
from debias import config as configs
from debias.build import build
from debias.config import Config
from debias.runs.checks import check_continued
from debias.runs.run import Run
from tests.commands.conftest import overrides

#: The first stage of each, and the section that changes it.
FIRST = {"jtt": "identification", "spare": "early", "cnc": "prediction", "eiil": "reference"}
MORE = {"jtt": ("recipe.upweight=1",), "eiil": ("recipe.steps=50",)}


@pytest.mark.parametrize("name", FIRST)
def test_the_last_stage_starts_from_weights_of_its_own(tmp_path: Path, name: str) -> None:
    """At a learning rate of 0 it ends with those of its seed, though the first stage has moved."""
    rate = f"recipe.{FIRST[name]}.optimizer.lr=3e-3"
    options = [
        f"recipe.name={name}",
        rate,
        *MORE.get(name, ()),
        "optimizer.lr=0",
        "epochs=1",
        "seed=5",
    ]
    config = configs.load("drawn_birds", overrides(tmp_path, *options))
    trained = components.construct("recipe", config.recipe, {}).train(Run(config, tmp_path / "run"))
    found = dict(trained.parts.module.model.named_parameters())
    first = torch.load(
        tmp_path / f"run/stages/{FIRST[name]}/checkpoints/last.ckpt", weights_only=True
    )["state_dict"]
    drawn = dict(build(config).module.model.named_parameters())
    assert trained.config.optimizer["lr"] == 0
    assert found.keys() == drawn.keys()
    assert [key for key in drawn if not torch.equal(found[key], drawn[key])] == []
    assert not torch.equal(first["model.head.weight"], drawn["head.weight"])


#: The section that changes the stage from whose model each continues, and what else it needs.
BEFORE = {
    "bam": "amplification",
    "bcsi": "base",
    "contextual": "standard",
    "dac": "first",
    "masktune": "first",
    "per_sample_gradient": "biased",
    "pnd": "experts",
}
STRATEGIES = {"contextual": "context_cam", "pnd": "partition"}


@pytest.mark.parametrize("name", BEFORE)
def test_a_model_that_is_trained_further_is_the_same_in_both_stages(
    tmp_path: Path, name: str
) -> None:
    changes = [f"recipe.{BEFORE[name]}.model.projection=mlp"]
    options = [f"recipe.name={name}", f"strategy.name={STRATEGIES.get(name, 'erm')}"]
    config = configs.load("drawn_birds", [*options, *changes])
    with pytest.raises(
        ValueError,
        match=r"has model\.projection=mlp; got model\.projection=None.*: set model\.projection",
    ):
        Run(config, tmp_path).check(components.construct("recipe", config.recipe, {}))


def test_options_that_change_no_architecture_may_differ() -> None:
    model = {"name": "test_resnet"}
    check_continued(Config(model=model | {"freeze_batch_norm": True}), Config(model=model))
