"""Just Train Twice: what the stages leave behind, what the last one sees, none is repeated."""

import csv
import json

import pytest
import torch

from debias import components
from debias import config as configs
from debias.commands.train import train
from debias.data.orders import upweighted
from debias.reports.predictions import read
from debias.runs.run import Run
from debias.runs.work import Sizes
from tests.commands.conftest import overrides
from tests.recipes.finished_runs import (
    assert_evaluation_agrees,
    assert_same_predictions,
    interrupted,
)


def lines_of(run):
    return list(csv.DictReader((run / "groups.csv").read_text().splitlines()))


JTT = ("recipe.name=jtt", "recipe.identification.epochs=1", "recipe.upweight=3", "epochs=2")


def config_of(folder, *more):
    return configs.load("drawn_birds", overrides(folder, *JTT, *more))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(config_of(tmp_path_factory.mktemp("jtt")))


def test_errors_are_those_of_the_first_model(run):
    found = read(run / "stages" / "identification" / "predictions" / "train.csv")
    wrong = (found.logits.argmax(dim=1) != found.target).long().tolist()
    lines = lines_of(run)
    assert [line["path"] for line in lines] == list(found.paths)
    assert [int(line["inferred"]) for line in lines] == wrong
    assert 0 < sum(wrong) < len(wrong)


def test_the_last_stage_repeats_them(run):
    """80 images and 3 further copies of each of the E errors: 80 + 3 E visits an epoch."""
    errors = sum(int(line["inferred"]) for line in lines_of(run))
    last = configs.read(run / configs.LAST_STAGE)
    assert last.sampler == {"name": "upweighted", "copies": 3}
    assert len(Run(last, run).build(last).data.order) == 80 + 3 * errors


def test_identification_is_the_first_stage_and_the_first_work(tmp_path):
    config = config_of(tmp_path)
    recipe, run = components.construct("recipe", config.recipe, {}), Run(config, tmp_path)
    assert [stage.epochs for stage in recipe.stages(run)] == [1, 2]
    work = recipe.work(run, Sizes(groups=(20, 20, 20, 20), val=20, test=20))
    assert [stage.config.epochs for stage in work] == [1, 2]


def test_the_report_is_of_the_whole(run):
    report = json.loads((run / "report.json").read_text())
    assert run.name.startswith("drawn_birds-jtt-seed0-")
    assert report["strategy"]["method"] == "jtt"
    assert report["strategy"]["group_labels"] == "val"
    assert report["config"]["recipe"]["upweight"] == 3
    seconds = report["seconds"]
    epochs = sum(entry["seconds"] for entry in report["history"])
    assert seconds["train"] == pytest.approx(epochs + seconds["stages"]["identification"])
    assert [group["count"] for group in report["metrics"]["test"]["groups"]] == report["data"][
        "counts"
    ]["test"]


def test_evaluation_builds_the_last_stage(run):
    assert_evaluation_agrees(run)


@pytest.mark.parametrize("lost", [(), ("groups.csv",), ("groups.csv", configs.LAST_STAGE)])
def test_an_interrupted_run_goes_on_after_its_last_finished_stage(run, tmp_path, lost):
    """As if the process had died between the stages, before or after it wrote what it inferred, or
    as the last stage began: the first is not repeated, the end agrees.
    """
    halfway = interrupted(run, tmp_path, *lost)
    first = halfway / "stages" / "identification"
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*") if path.is_file()}
    train(configs.read(halfway / "config.yaml"), resume=halfway)
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*") if path.is_file()} == before
    assert_same_predictions(halfway, run)
    assert (halfway / "groups.csv").read_text() == (run / "groups.csv").read_text()


def test_a_single_and_a_bad_option_are_told_before_anything_is_trained(tmp_path):
    cases = {
        "recipe.upweight=0": "upweight must be at least 1; got 0",
        "recipe.identification.optimizer.lr=fast": "optimizer.lr",
        "recipe.identification.epoch=1": "unknown key 'epoch'",
        "recipe.upweigth=2": "upweight",
    }
    for override, message in cases.items():
        with pytest.raises(ValueError, match=message):
            train(config_of(tmp_path, override))
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").glob("drawn_birds-*"))


def test_what_would_be_left_unread_is_refused(tmp_path):
    for override, message in {
        "sampler.name=class_balanced": (
            "sets sampler.name itself; got sampler.name=class_balanced: leave it out"
        ),
        "strategy.name=group_dro": (
            "infers an error set, not group labels.*got strategy.name=group_dro"
        ),
        "groups.file=own.csv": r"does not allow groups\.file; got groups\.file=own\.csv",
    }.items():
        with pytest.raises(ValueError, match=message):
            train(configs.load("drawn_birds/jtt", overrides(tmp_path, override)))
    assert not list((tmp_path / "runs").glob("drawn_birds-*"))


def test_upweighted_by_hand():
    """Positions 1 and 3 are chosen: each comes 1 + 2 times, the others once."""
    order = upweighted(torch.tensor([False, True, False, True]), copies=2)
    assert torch.bincount(order.draw(torch.Generator().manual_seed(0))).tolist() == [1, 3, 1, 3]
    with pytest.raises(
        ValueError, match=r"no training sample has inferred value 1, so none can be repeated"
    ):
        upweighted(torch.zeros(4, dtype=torch.bool), copies=2)
    with pytest.raises(ValueError, match="copies must be at least 1"):
        upweighted(torch.ones(4, dtype=torch.bool), copies=0)


def test_the_plain_recipe_is_one_stage(tmp_path):
    config = configs.load("drawn_birds", overrides(tmp_path))
    recipe = components.construct("recipe", config.recipe, {})
    assert recipe.stages(Run(config, tmp_path)) == [config]
