"""SELF by disagreement: which samples it takes, from which epoch, what is refused, and that no
stage is repeated.
"""

from pathlib import Path

import pytest
import torch

from debias import config as configs
from debias.commands.train import train
from debias.data.orders import seeded_generator
from debias.heads.orders import halves
from debias.recipes import self as self_recipe
from debias.recipes.self import SELF
from debias.reports.predictions import read
from debias.runs.run import Run
from tests.commands.conftest import overrides
from tests.recipes.finished_runs import assert_same_predictions, interrupted

EARLY = (
    "recipe.name=self",
    "recipe.counts=[5,12]",
    "recipe.disagreement=early",
    "recipe.batch_size=8",
    "epochs=3",
)
STATE = "stages/backbone/checkpoints/last.ckpt"


def config_of(folder: Path, *more: str) -> configs.Config:
    return configs.load("drawn_birds", overrides(folder, *EARLY, "data.val=80", *more))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("self")


@pytest.fixture(scope="module")
def calls() -> list[tuple[torch.Tensor, torch.Tensor, int]]:
    """Classes of the half, the chosen positions in it, and the size of a batch, of each fit."""
    return []


@pytest.fixture(scope="module")
def run(folder, calls) -> Path:
    fitted = self_recipe.selected_heads

    def noting(features, target, chosen, *others, **options):
        calls.append((target, chosen, options["batch_size"]))
        return fitted(features, target, chosen, *others, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(self_recipe, "selected_heads", noting)
        return train(config_of(folder, "recipe.early_epochs=[1,2]"))


@pytest.mark.slow
def test_samples_are_those_of_the_largest_disagreement(run, calls):
    """KL(early | last) from the predictions of the epochs, in float64, on half of the 80 images."""
    last, first, second = (
        read(run / f"stages/backbone/predictions/val-epoch=00{n}.csv") for n in (2, 0, 1)
    )
    group = 2 * last.target + last.bias
    half, _ = halves(group, seeded_generator(0))
    assert len(calls) == 4
    found = iter(calls)
    for early in (first, second):
        p, q = early.logits[half].double().softmax(1), last.logits[half].double().softmax(1)
        divergence = (p * (p / q).log()).sum(1)
        assert divergence.unique().numel() == len(half)
        for count in (5, 12):
            target, chosen, batch_size = next(found)
            assert batch_size == 8
            assert torch.equal(target, last.target[half])
            assert chosen.tolist() == divergence.argsort(descending=True)[:count].tolist()
    assert calls[0][1].tolist() != calls[2][1].tolist()


@pytest.mark.slow
def test_the_backbone_is_trained_as_without_it(run, folder):
    """Nothing but the samples differs: the early model is an epoch of the same training."""
    plain = train(config_of(folder, "recipe.disagreement=null"))
    states = [torch.load(one / STATE, weights_only=True)["state_dict"] for one in (run, plain)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert (run / "stages/backbone/stage.yaml").read_text() == (
        plain / "stages/backbone/stage.yaml"
    ).read_text()
    assert [stage.name for stage in (run / "stages").iterdir()] == ["backbone"]


@pytest.mark.slow
def test_an_interrupted_run_goes_on_after_its_backbone(run, tmp_path):
    halfway = interrupted(run, tmp_path, configs.LAST_STAGE)
    backbone = halfway / "stages" / "backbone"
    before = {path: path.stat().st_mtime_ns for path in backbone.rglob("*") if path.is_file()}
    train(configs.read(halfway / "config.yaml"), resume=halfway)
    assert {
        path: path.stat().st_mtime_ns for path in backbone.rglob("*") if path.is_file()
    } == before
    assert_same_predictions(halfway, run)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            "recipe.disagreement=late",
            "recipe.disagreement must be early, or null to choose samples by their loss; got late",
        ),
        ("recipe.batch_size=0", "recipe.batch_size must be at least 1"),
        ("recipe.learning_rates=[0.01,-0.1]", "learning_rates must be positive; got -0.1"),
        ("recipe.backbone=pretrained", "recipe.backbone must be trained; got pretrained"),
        ("recipe.backbone=runs/erm", "needs predictions of early epochs.* got runs/erm"),
        ("recipe.early_epochs=[1,0]", "recipe.early_epochs must be at least 1.* got 0"),
        ("recipe.early_epochs=[1,3]", "less than the 3 epochs of the backbone.* got 3"),
        ("recipe.base.epochs=1", "less than the 1 epochs of the backbone.* got 1"),
    ],
)
def test_refused_before_anything_is_trained(tmp_path, more, message):
    with pytest.raises(ValueError, match=message):
        train(config_of(tmp_path, more))
    assert not list(tmp_path.glob("runs/drawn_birds-*"))


def test_early_epochs_count_where_they_are_asked_for(tmp_path):
    """Without disagreement the option says nothing, and a backbone of one epoch will do."""
    config = config_of(tmp_path, "epochs=1")
    assert [stage.epochs for stage in SELF(early_epochs=[7]).stages(Run(config, tmp_path))] == [1]
    with pytest.raises(ValueError, match="got 7"):
        SELF(early_epochs=[7], disagreement="early").stages(Run(config, tmp_path))
