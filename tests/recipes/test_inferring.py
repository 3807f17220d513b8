"""The recipes that infer groups: what each finds, what its last stage trains on, what it read."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from debias import components
from debias import config as configs
from debias.commands import evaluate
from debias.commands.train import train
from debias.data.examples import SPLITS
from debias.data.orders import seeded_generator
from debias.data.sets.table import table
from debias.group_inference.clusters import class_clusters
from debias.group_inference.environments import environment_weights
from debias.group_inference.errors import error_set
from debias.recipes.ssa import write_labels
from debias.reports.predictions import Predictions, read
from debias.runs.run import Run
from debias.types import Groups
from tests.commands.conftest import overrides
from tests.fakes import birds

OPTIONS: dict[str, tuple[str, ...]] = {
    "eiil": ("recipe.steps=20", "recipe.learning_rate=0.05"),
    "spare": ("recipe.largest=3",),
    "xrm": ("recipe.twins.epochs=4",),
    "ssa": ("recipe.folds=2", "recipe.predictor.epochs=3", "recipe.threshold=0.5"),
    "cnc": ("recipe.prediction.epochs=2",),
    "bam": (
        "recipe.amplification.epochs=1",
        "recipe.amplification.optimizer.lr=3e-3",
        "optimizer.lr=1e-12",
    ),
}
Trainings = Callable[[str], Path]


def config_of(name: str, folder: Path, *more: str) -> configs.Config:
    return configs.load(f"drawn_birds/{name}", overrides(folder, "epochs=1", *OPTIONS[name], *more))


@pytest.fixture(scope="module")
def run_of(tmp_path_factory) -> Trainings:
    """The folder of a finished run of each recipe, trained once."""
    folder = tmp_path_factory.mktemp("inferring")
    return cache(lambda name: train(config_of(name, folder)))


def lines_of(run: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((run / "groups.csv").read_text().splitlines()))


def inferred_of(run: Path, split: str = "train") -> dict[str, int]:
    return {line["path"]: int(line["inferred"]) for line in lines_of(run) if line["split"] == split}


def by_path(found: Predictions, values: torch.Tensor) -> dict[str, int]:
    return dict(zip(found.paths, values.tolist(), strict=True))


@pytest.mark.parametrize(
    ("name", "splits", "labels"),
    [
        ("eiil", {"train"}, "val"),
        ("spare", {"train"}, "val"),
        ("xrm", {"train", "val"}, "none"),
        ("ssa", {"train"}, "val"),
        ("cnc", {"train"}, "val"),
        ("bam", {"train"}, "none"),
    ],
)
def test_a_run_says_which_labels_it_saw_and_its_last_stage_reads_the_inferred(
    run_of, name, splits, labels
):
    run = run_of(name)
    report = json.loads((run / "report.json").read_text())
    assert report["strategy"]["group_labels"] == labels
    assert {line["split"] for line in lines_of(run)} == splits
    last = configs.read(run / configs.LAST_STAGE)
    assert (last.groups.file, set(last.groups.splits)) == (str(run / "groups.csv"), splits)
    assert last.strategy == configs.read(run / "config.yaml").strategy
    assert set(report["seconds"]["stages"]) == {
        path.parent.name for path in run.glob("stages/*/stage.json")
    }


def test_eiil_cuts_the_weights_of_its_reference_at_one_half(run_of):
    """After so few steps weights lie on both sides of every other cut too."""
    found = read(run_of("eiil") / "stages" / "reference" / "predictions" / "train.csv")
    weights = environment_weights(
        found.logits, found.target, seeded_generator(0), steps=20, learning_rate=0.05
    )
    assert ((weights > 0.4) & (weights < 0.5)).any()
    assert ((weights > 0.5) & (weights < 0.6)).any()
    assert inferred_of(run_of("eiil")) == by_path(found, (weights > 0.5).long())
    assert set(inferred_of(run_of("eiil")).values()) == {0, 1}


def test_spare_samples_the_clusters_of_its_early_model(run_of):
    """Every class has half of the probability, whatever the clusters' sizes."""
    run = run_of("spare")
    found = read(run / "stages" / "early" / "predictions" / "train.csv")
    clusters = class_clusters(found.logits.softmax(dim=1), found.target, seed=0, largest=3)
    assert inferred_of(run) == by_path(found, clusters.inferred)
    last = configs.read(run / configs.LAST_STAGE)
    assert last.sampler == {"name": "cluster_balanced", "powers": clusters.powers()}
    weights = Run(last, run).build(last).data.order.weights
    assert weights[found.target == 0].sum().item() == pytest.approx(
        weights[found.target == 1].sum().item()
    )


def test_xrm_takes_the_mistakes_of_either_twin_in_both_splits(run_of):
    predictions = run_of("xrm") / "stages" / "twins" / "predictions"
    for split in ("train", "val"):
        first, second = read(predictions / f"{split}.csv"), read(predictions / f"{split}-twin.csv")
        assert not torch.equal(first.logits, second.logits)
        wrong = error_set(first.logits, first.target) | error_set(second.logits, second.target)
        assert inferred_of(run_of("xrm"), split) == by_path(first, wrong.long())


def test_ssa_reads_the_labels_of_validation_alone(run_of):
    """Every training image is guessed by a predictor that has no guess for it, no true label."""
    run = run_of("ssa")
    true = {line["path"]: line["bias"] for line in lines_of(run)}
    guesses = {}
    for stage in ("teacher", "fold-1", "fold-2"):
        rows = list(
            csv.DictReader((run / "stages" / stage / "labels.csv").read_text().splitlines())
        )
        used = {row["path"]: row["target"] for row in rows if row["split"] == "train"}
        asked = [row["path"] for row in rows if row["split"] == "test"]
        found = read(run / "stages" / stage / "predictions" / "test.csv")
        said = by_path(found, found.logits.argmax(dim=1))
        assert sorted(said) == sorted(asked)
        assert not set(used) & set(asked)
        assert sum(path not in true for path in used) == 20  # half of the validation split
        if stage == "teacher":
            teacher = {path: str(value) for path, value in said.items()}
            assert len(used) == 20
        else:
            guesses |= said
            assert all(teacher[path] == bias for path, bias in used.items() if path in true)
    assert guesses == inferred_of(run)


def test_cnc_takes_the_predicted_class(run_of):
    found = read(run_of("cnc") / "stages" / "prediction" / "predictions" / "train.csv")
    assert inferred_of(run_of("cnc")) == by_path(found, found.logits.argmax(dim=1))


def test_bam_goes_on_with_the_same_model(run_of):
    """At a learning rate of next to nothing, the last stage ends where the first did; and it
    repeats its errors.
    """
    run = run_of("bam")
    states = [
        torch.load(path, weights_only=True)["state_dict"]
        for path in (
            run / "stages" / "amplification" / "checkpoints" / "last.ckpt",
            run / "checkpoints" / "last.ckpt",
        )
    ]
    torch.testing.assert_close(states[0]["model.head.weight"], states[1]["model.head.weight"])
    assert states[0]["strategy.offsets"].ne(0).any()
    errors = sum(inferred_of(run).values())
    last = configs.read(run / configs.LAST_STAGE)
    assert len(Run(last, run).build(last).data.order) == 80 + 19 * errors


def test_mistakes_in_options_are_told_before_anything_is_trained(tmp_path):
    cases = {
        ("eiil", "recipe.steps=0"): "recipe.steps must be at least 1 for EIIL; got 0",
        ("eiil", "strategy.step=1"): "unknown option strategy.step",
        ("eiil", "recipe.reference.epoch=1"): "unknown key 'epoch'",
        ("eiil", "optimizer.learning=1"): "unknown option optimizer.learning",
        ("spare", "recipe.largest=1"): "recipe.largest must be at least 2 for SPARE; got 1",
        ("ssa", "recipe.folds=1"): "recipe.folds must be at least 2 for SSA; got 1",
        ("bam", "recipe.strength=-1"): "strength must be at least 0",
        ("bam", "recipe.upweight=1"): "upweight must be at least 2",
        ("cnc", "batch_size=1"): "at least 2 samples",
        ("cnc", "groups.file=own.csv"): r"does not allow groups\.file; got groups\.file=own\.csv",
        (
            "spare",
            "sampler.name=class_balanced",
        ): "sets sampler.name itself; got sampler.name=class_balanced",
        ("bam", "sampler.name=group_balanced"): "sets sampler.name itself",
        (
            "bam",
            "strategy.name=group_dro",
        ): "infers an error set, not group labels.*got strategy.name=group_dro",
        ("bam", "augment.name=lisa"): r"and augment\.name=lisa\. Name others",
        ("xrm", "select=worst"): "unknown selection rule select='worst'",
        ("xrm", "strategy.step_size=-1"): "step_size must be positive for GroupDRO; got -1",
        ("eiil", "players.nonsense.lr=1"): "the strategy has no player 'nonsense'",
        ("spare", "augment={name: pixmix, probability: 2}"): r"probability must lie in \[0, 1\]",
    }
    for (name, override), message in cases.items():
        with pytest.raises(ValueError, match=message):
            train(config_of(name, tmp_path, override))
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").glob("drawn_birds-*"))


@pytest.mark.filterwarnings("ignore:.*no training image in:UserWarning")
def test_xrm_needs_no_label_of_the_bias_but_of_the_test_split(tmp_path):
    """It selects by the groups it infers, where the rule would ask validation for true ones."""
    examples = birds(tmp_path)
    lines = ["path,target,bias,split"]
    for row, image in enumerate(examples.images):
        split = SPLITS[int(examples.split[row])]
        bias = examples.bias[row].item() if split == "test" else ""
        lines.append(f"{image},{examples.target[row]},{bias},{split}")
    (tmp_path / "birds" / "own.csv").write_text("\n".join([*lines, ""]))
    (tmp_path / "own.yaml").write_text("extends: drawn_birds/xrm\ndata: {name: table}\n")
    small = [
        "preprocessing.size=32",
        "model.name=test_resnet",
        "batch_size=16",
        "epochs=2",
        "progress=false",
    ]
    data = [f"data.csv={tmp_path}/birds/own.csv", f"out={tmp_path}/runs"]
    run = train(configs.load(str(tmp_path / "own.yaml"), [*small, *data, *OPTIONS["xrm"]]))
    report = json.loads((run / "report.json").read_text())
    assert report["strategy"]["group_labels"] == "none"
    assert report["selection"]["rule"] == "worst_group"
    assert set(inferred_of(run, "val").values()) == {0, 1}


def test_ssa_names_values_by_number_whatever_they_are_called(tmp_path):
    """Biases called "2" and "1": the table that it writes reads back as what was written."""
    examples = replace(birds(tmp_path), groups=Groups(("20", "10"), ("2", "1")))
    train_rows = examples.rows("train")
    write_labels(tmp_path / "labels.csv", examples, examples.bias, {"train": train_rows})
    found = table(
        csv=str(tmp_path / "labels.csv"),
        root=str(examples.root),
        target_names=["2", "1"],
        bias_names=["20", "10"],
    )
    assert torch.equal(found.target, examples.bias[train_rows])
    assert torch.equal(found.bias, examples.target[train_rows])
    assert (found.groups.target_names, found.groups.bias_names) == (("2", "1"), ("20", "10"))


def test_a_run_is_evaluated_wherever_it_lies(run_of, tmp_path, monkeypatch):
    """The groups that it inferred lie in its folder, which another folder than the one it was
    trained from holds.
    """
    moved = tmp_path / "moved"
    shutil.copytree(run_of("eiil"), moved)
    last = configs.read(moved / configs.LAST_STAGE)
    configs.save(
        replace(last, groups=replace(last.groups, file="runs/gone/groups.csv")),
        moved / configs.LAST_STAGE,
    )
    before = json.loads((moved / "report.json").read_text())["metrics"]
    monkeypatch.chdir(tmp_path)
    evaluate.run("moved", ["progress=false", "measures=quick", "fresh=true"])
    assert json.loads((moved / "report.json").read_text())["metrics"] == before


def test_a_method_that_needs_every_group_is_told_which_is_empty(tmp_path):
    """All waterbirds, class 1, are inferred to be of the value 0."""
    config = config_of("eiil", tmp_path)
    run = Run(config, tmp_path / "run")
    examples = run.check(components.construct("recipe", config.recipe, {})).examples
    inferred = torch.where(examples.target == 1, 0, torch.arange(len(examples)) % 2)
    with pytest.raises(
        ValueError,
        match=r"no training image in the inferred groups waterbird-1.*train the earlier stage",
    ):
        run.infer(inferred, examples)
    needs_none = configs.changed(
        config, {"strategy": {"name": "erm"}, "sampler": {"name": "shuffled"}}
    )
    partition = Run(needs_none, tmp_path / "other").infer(inferred, examples)
    assert partition.splits == ("train", "val")


def test_early_stages_have_no_players_of_the_last_strategy(tmp_path):
    config = configs.load(
        "drawn_birds/rebias", overrides(tmp_path, "recipe.name=eiil", "players.biased.lr=0.1")
    )
    run = Run(config, tmp_path / "run")
    assert run.stage_config().players == {}
    assert run.last_config().players == {"biased": {"lr": 0.1}}
