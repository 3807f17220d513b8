"""``debias train`` from the command line to the run folder: contents, resuming, bad input."""

import csv
import json
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from debias import config as configs
from debias.__main__ import main
from debias.build import build
from debias.commands.begin import check_folder, claim, locked, resume_in
from debias.commands.train import train
from debias.data.examples import SPLITS
from debias.errors import InputError
from debias.metrics import group_scalars, joint_counts
from debias.reports.predictions import read
from debias.runs.circumstances import circumstances
from debias.sweeps.files import Files
from debias.training.fit import Additions
from tests.commands.conftest import GROUP_DRO, SMALL, overrides
from tests.fakes import birds
from tests.reports.sample_runs import typed_report


def weights(run: Path) -> dict[str, torch.Tensor]:
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert isinstance(state, dict)
    return state


def assert_same(weights: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> None:
    assert weights.keys() == others.keys()
    assert [key for key in weights if not torch.equal(weights[key], others[key])] == []


def interrupt(history: list[dict[str, Any]]) -> None:
    """A watch that stops a run after its first epoch."""
    raise KeyboardInterrupt


def test_run_folder(finished):
    report = json.loads((finished / "report.json").read_text())
    assert report["data"]["counts"]["train"] == [38, 2, 2, 38]
    assert json.loads((finished / "data.json").read_text()) == {
        "digest": report["data"]["digest"],
        "images": 160,
    }
    assert [entry["epoch"] for entry in report["history"]] == [0, 1, 2]
    assert report["strategy"] == {
        "name": "group_dro",
        "method": "group_dro",
        "requires": ["bias", "groups"],
        "group_labels": "train+val",
    }
    assert report["config"]["strategy"] == {"name": "group_dro", "step_size": 0.1}
    assert configs.read(finished / "config.yaml") == configs.from_plain(report["config"])
    names = {path.name for path in (finished / "predictions").iterdir()}
    assert names == {
        "train.csv",
        "val.csv",
        "test.csv",
        *(f"val-epoch={epoch:03d}.csv" for epoch in range(3)),
    }
    assert (finished / "report.html").stat().st_size > 10_000
    events = EventAccumulator(str(finished / "tensorboard")).Reload()
    # one point each, beside the curves of the epochs
    for name, value in report["metrics"]["test"]["scalars"].items():
        (point,) = events.Scalars(f"test/{name}")
        assert point.value == pytest.approx(value)


def test_prints_the_test_accuracies_and_the_path_last(finished, tmp_path, capsys):
    """A run that is finished is not trained again, and prints the same."""
    source = configs.read(finished / "config.yaml")
    arguments = [
        *SMALL,
        *GROUP_DRO,
        "strategy.step_size=0.1",
        f"data.root={source.data['root']}",
        f"out={source.out}",
    ]
    assert main(["train", "drawn_birds", *arguments, "resume=auto"]) == 0
    lines = capsys.readouterr().out.splitlines()
    report = json.loads((finished / "report.json").read_text())
    test, epoch = report["metrics"]["test"], report["selection"]["epoch"]
    assert lines[-2] == f"selected by the rule worst_group: epoch {epoch}, of 0 to 2"
    assert lines[-1] == f"{finished}/report.html"
    assert f"  worst_group      {100 * test['scalars']['worst_group']:5.1f}" in lines
    assert [line.split()[0] for line in lines[1:5]] == [group["name"] for group in test["groups"]]


def test_keeps_the_weights_of_every_epoch_and_prints_a_line_of_each(tmp_path, capsys):
    """Logs to a CSV file where asked to, with the numbers of the report; and trains in parts."""
    told = overrides(tmp_path, "keep_all=true", "loggers=[csv]", "accumulate=4")
    run = train(configs.load("drawn_birds", told))
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    device = f"device: cpu ({torch.get_num_threads()} threads), precision 32-true"
    assert lines[:2] == [f"run: {run}", device]
    assert "landbird-water         2       10       10" in lines
    assert [line.partition("  ")[0] for line in lines[-3:]] == [
        *(f"epoch {epoch} ({epoch + 1}/3)" for epoch in range(3))
    ]
    history = json.loads((run / "report.json").read_text())["history"]
    assert f"loss {history[2]['train']['loss']:.4f}" in lines[-1]
    assert f"val worst group {100 * history[2]['val']['worst_group']:.1f}" in lines[-1]
    assert (printed.out, "\r" in printed.err) == ("", False)
    assert not (run / "progress.json").exists()
    names = {path.name for path in (run / "checkpoints").iterdir()}
    assert names == {"last.ckpt", *(f"epoch={epoch:03d}.ckpt" for epoch in range(3))}
    assert not (run / "tensorboard").exists()
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    for row, entry in zip(rows, history, strict=True):
        assert float(row["val/worst_group"]) == pytest.approx(entry["val"]["worst_group"])
        assert float(row["train/loss"]) == pytest.approx(entry["train"]["loss"])


class OneEpoch(Callback):
    """A user's callback: ends training after the first epoch, and looks at the Trainer."""

    def on_train_epoch_end(self, trainer, pl_module):
        assert trainer.log_every_n_steps == 7
        trainer.should_stop = True


def test_a_user_s_callback_ends_training(tmp_path):
    """The last epoch is then the one after which it ended, and the report names the callback. A run
    that is killed after this epoch has no other when it is resumed.
    """
    config = configs.load("drawn_birds", overrides(tmp_path, "select=last"))
    additions = Additions([OneEpoch()], {"log_every_n_steps": 7})
    with pytest.raises(SystemExit):
        train(config, watch=interrupt, additions=additions)
    run = tmp_path / "runs" / configs.run_name(config)
    assert train(config, resume=run, additions=additions) == run
    report = json.loads((run / "report.json").read_text())
    assert [entry["epoch"] for entry in report["history"]] == [0]
    assert (report["selection"]["rule"], report["selection"]["epoch"]) == ("last", 0)
    assert report["from_python"] == {
        "callbacks": ["tests.commands.test_train.OneEpoch"],
        "trainer": {"log_every_n_steps": "7"},
    }


@pytest.mark.parametrize(
    ("additions", "message"),
    [
        (Additions([print]), "must be a pytorch_lightning.callbacks.Callback; got builtins"),
        (Additions([ModelCheckpoint()]), "ModelCheckpoint cannot be added"),
        (Additions((), {"max_epochs": 3}), "the Trainer option 'max_epochs' cannot be set"),
        (Additions((), {"benchmarks": True}), "did you mean 'benchmark'"),
    ],
)
def test_additions_of_a_user_are_checked(additions, message, tmp_path):
    with pytest.raises(InputError, match=message):
        train(configs.load("drawn_birds", overrides(tmp_path)), additions=additions)


def test_selected_epoch_is_the_one_reported(finished):
    """Final validation predictions are those saved after the selected epoch, so is the metric."""
    report = json.loads((finished / "report.json").read_text())
    epoch = report["selection"]["epoch"]
    worst = [entry["val"]["worst_group"] for entry in report["history"]]
    assert epoch == worst.index(max(worst))
    assert report["metrics"]["val"]["scalars"]["worst_group"] == pytest.approx(worst[epoch])
    final = (finished / "predictions" / "val.csv").read_text()
    assert final == (finished / "predictions" / f"val-epoch={epoch:03d}.csv").read_text()


def test_every_epoch_can_be_measured_again_from_its_predictions(finished):
    """The selection table is what the saved validation predictions give, without any model."""
    report = json.loads((finished / "report.json").read_text())
    groups = typed_report(report).groups
    frequencies = torch.tensor(report["data"]["counts"]["train"])
    for entry in report["history"]:
        rows = read(finished / "predictions" / f"val-epoch={entry['epoch']:03d}.csv")
        counts = joint_counts(rows.prediction(groups), rows.target, rows.bias, groups)
        measured = group_scalars(counts, groups, frequencies)
        assert {name: value.item() for name, value in measured.items()} == entry["val"]


def test_training_does_not_read_the_test_labels(finished, tmp_path):
    """With every test target turned round, weights, history and selection are the same bits."""
    folder = Path(configs.read(finished / "config.yaml").data["root"])
    turned = tmp_path / "birds"
    subprocess.run(["cp", "-r", str(folder), str(turned)], check=True)
    header, *rows = (turned / "metadata.csv").read_text().splitlines()
    columns = header.split(",")
    target, split = columns.index("y"), columns.index("split")
    cells = [row.split(",") for row in rows]
    for row in cells:
        if row[split] == "2":
            row[target] = str(1 - int(row[target]))
    (turned / "metadata.csv").write_text(
        "\n".join([header, *(",".join(row) for row in cells)]) + "\n"
    )
    run = train(
        configs.load("drawn_birds", overrides(tmp_path, *GROUP_DRO, "strategy.step_size=0.1"))
    )
    assert_same(weights(run), weights(finished))
    one, other = (json.loads((path / "report.json").read_text()) for path in (run, finished))
    assert one["selection"] == other["selection"]
    right, wrong = (report["metrics"]["test"]["scalars"]["average"] for report in (one, other))
    assert right == pytest.approx(1 - wrong)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["last.ckpt", "epoch=000.ckpt", "val-epoch=001.csv", "test.csv"])
def test_resumed_after_a_kill_equals_uninterrupted(finished, start, tmp_path, moment):
    """SIGKILL when a file appears: after weights, in an epoch, in the final evaluation."""
    config = configs.load("drawn_birds", overrides(tmp_path, *GROUP_DRO, "strategy.step_size=0.1"))
    source = configs.read(finished / "config.yaml")
    config.data["root"] = source.data["root"]
    config.cache_dir = str(Path(source.out) / "cache")
    run = Path(config.out) / configs.run_name(config)
    arguments = overrides(
        tmp_path, *GROUP_DRO, "strategy.step_size=0.1", f"data.root={config.data['root']}"
    )
    process = start("train", "drawn_birds", *arguments, f"cache_dir={config.cache_dir}")
    while not list(run.rglob(moment)) and process.poll() is None:
        time.sleep(0.002)
    process.kill()
    assert not (run / "report.json").exists()
    train(config, resume=run)
    assert_same(weights(run), weights(finished))
    one, other = (json.loads((path / "report.json").read_text()) for path in (run, finished))
    assert one["metrics"] == other["metrics"]
    assert one["selection"] == other["selection"]


@pytest.mark.parametrize("more", [("workers=1",), ("augment.name=mixup", "workers=0")])
def test_resumed_after_an_epoch_equals_uninterrupted(tmp_path, more):
    """Loader processes draw an epoch ahead, mixup from the global generator: both go on where the
    run was stopped.
    """

    def ended(history: list[dict[str, Any]]) -> None:
        if len(history) == 2:
            raise KeyboardInterrupt

    config = configs.load("drawn_birds", overrides(tmp_path, *more))
    whole = train(replace(config, out=f"{tmp_path}/whole"))
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(config, watch=ended)
    run = train(config, resume=Path(config.out) / configs.run_name(config))
    assert_same(weights(run), weights(whole))


def test_refuses_a_finished_run(finished):
    config = configs.read(finished / "config.yaml")
    with pytest.raises(ValueError, match="is finished"):
        train(config)
    with pytest.raises(ValueError, match="is finished"):
        train(config, resume=finished)


def test_refuses_to_resume_with_another_config(tmp_path):
    config = configs.load("drawn_birds", overrides(tmp_path))
    run = tmp_path / "interrupted"
    run.mkdir()
    configs.save(config, run / "config.yaml")
    changed = configs.load("drawn_birds", overrides(tmp_path, "epochs=9", "workers=2"))
    with pytest.raises(ValueError, match=r"epochs was 3, is 9$"):
        train(changed, resume=run)
    with pytest.raises(ValueError, match="holds no config"):
        train(config, resume=tmp_path)


def test_refuses_to_resume_with_other_data(tmp_path):
    """A line of the table is removed, and then a label is another, while the run waits."""
    table = tmp_path / "birds" / "own.csv"
    examples = birds(tmp_path)
    lines = [
        f"{image},{examples.target[row]},{examples.bias[row]},{SPLITS[int(examples.split[row])]}"
        for row, image in enumerate(examples.images)
    ]

    def write(rows: list[str]) -> None:
        table.write_text("\n".join(["path,target,bias,split", *rows, ""]))

    write(lines)
    (tmp_path / "own.yaml").write_text("extends: drawn_birds\ndata: {name: table}\n")
    options = [
        f"data.csv={table}",
        f"out={tmp_path}/runs",
        "preprocessing.size=32",
        "model.name=test_resnet",
    ]
    config = configs.load(str(tmp_path / "own.yaml"), [*options, "progress=false", "epochs=1"])
    run = tmp_path / "interrupted"
    parts = build(config)
    claim(run, config, parts.examples, circumstances(parts, config))
    write(lines[1:])
    with pytest.raises(
        ValueError, match="with other data: it was started with 160 images, and there are 159 now"
    ):
        train(config, resume=run)
    name, target, rest = lines[0].split(",", 2)
    write([f"{name},{1 - int(target)},{rest}", *lines[1:]])
    with pytest.raises(ValueError, match="and there are 160 now, or labels, splits or groups"):
        train(config, resume=run)
    assert not (run / "checkpoints").exists()
    write(lines)
    train(config, resume=run)


def test_refuses_to_resume_with_other_inferred_groups(tmp_path):
    """A run of an earlier version has no digest of them, and goes on."""
    groups, examples, now = tmp_path / "groups.csv", birds(tmp_path), {"precision": "32-true"}
    config, run = configs.load("drawn_birds", [f"groups.file={groups}"]), tmp_path / "interrupted"
    groups.write_text("path,inferred\n0.png,0\n")
    claim(run, config, examples, now)
    assert resume_in(run, config, examples, now) == {}
    groups.write_text("path,inferred\n0.png,1\n")
    with pytest.raises(ValueError, match=r"or labels, splits or groups\.file differ: restore"):
        resume_in(run, config, examples, now)
    earlier = {"digest": examples.digest(), "images": len(examples)}
    (run / "data.json").write_text(json.dumps(earlier))
    assert resume_in(run, config, examples, now) == {}


def test_a_run_that_was_begun_before_select_was_auto_goes_on(tmp_path):
    """It says worst_group, which is what auto comes to; any other rule is another run."""
    config = configs.load("drawn_birds", [f"out={tmp_path}"])
    folder = tmp_path / "run"
    folder.mkdir()
    configs.save(replace(config, select="worst_group"), folder / "config.yaml")
    check_folder(folder, config, resuming=True)
    with pytest.raises(ValueError, match="select was worst_group, is average"):
        check_folder(folder, replace(config, select="average"), resuming=True)


def test_a_run_goes_on_at_the_precision_that_it_was_begun_at(tmp_path, monkeypatch):
    """precision=auto was bf16-mixed where the run began, and is 32-true here, on another commit."""
    elsewhere = {
        "precision": "bf16-mixed",
        "device": "cuda",
        "versions": {},
        "git": {"commit": "abc", "dirty": False},
    }
    config = configs.load("drawn_birds", overrides(tmp_path, "precision=auto", "epochs=1"))
    run = Path(config.out) / configs.run_name(config)
    examples = build(config).examples
    claim(run, config, examples, elsewhere)
    # stopped and resumed in the same place
    assert resume_in(run, config, examples, elsewhere) == {}
    monkeypatch.setattr("debias.build.choose_precision", lambda model, accelerator: "32-true")
    with pytest.raises(
        ValueError,
        match=r"with precision=bf16-mixed, and .* to 32-true here; add precision=bf16-mixed",
    ):
        train(config, resume=run)
    with pytest.raises(ValueError, match="precision was auto, is 16-mixed"):
        train(replace(config, precision="16-mixed"), resume=run)
    assert not (run / "checkpoints").exists()
    train(replace(config, precision="bf16-mixed"), resume=run)
    report = json.loads((run / "report.json").read_text())
    assert report["config"]["precision"] == report["predicted_from"]["precision"] == "auto"
    assert report["precision"] == "bf16-mixed"
    assert report["circumstances"][0] == elsewhere
    assert [part["device"][:4] for part in report["circumstances"]] == ["cuda", "cpu "]


def test_a_run_whose_circumstances_were_deleted_is_resumed(tmp_path):
    config = configs.load("drawn_birds", overrides(tmp_path, "epochs=1"))
    run = Path(config.out) / configs.run_name(config)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(config, watch=interrupt)
    (run / "circumstances.json").unlink()
    train(config, resume=run)
    report = json.loads((run / "report.json").read_text())
    assert "circumstances" not in report
    # where it was begun is not known: this process is not to be taken for the first
    assert not (run / "circumstances.json").exists()


def test_a_run_that_another_process_trains_is_left_alone(tmp_path, monkeypatch, capsys):
    """By the lock that a sweep's workers hold."""
    monkeypatch.setattr("debias.commands.begin.LONGEST_WAIT", 0.1)
    arguments = overrides(tmp_path, "epochs=1")
    config = configs.load("drawn_birds", arguments)
    files = Files(Path(config.out), configs.run_name(config))
    with files.lock():
        assert main(["train", "drawn_birds", *arguments, "resume=auto"]) == 2
        assert (
            f"{config.out}/{configs.run_name(config)} is being trained by another process"
            in capsys.readouterr().err
        )
        assert not files.report.parent.exists()
        files.report.parent.mkdir(parents=True)
        assert main(["train", "drawn_birds", *arguments]) == 2
        assert "is being trained by another process" in capsys.readouterr().err
        monkeypatch.chdir(files.report.parent)
        with pytest.raises(InputError, match="is being trained"), locked(Path()):
            pass
        monkeypatch.chdir(tmp_path)
        files.report.parent.rmdir()
    assert main(["train", "drawn_birds", *arguments, "resume=auto"]) == 0
    assert files.report.is_file()
    assert not files.locked()


@pytest.mark.parametrize("left", [[], [".data.json.17.tmp"]])
def test_a_folder_that_was_made_and_left_is_begun_in(left, tmp_path):
    """Somebody made it, or a process was killed while it wrote."""
    arguments = overrides(tmp_path, "epochs=1")
    config = configs.load("drawn_birds", arguments)
    run = Path(config.out) / configs.run_name(config)
    run.mkdir(parents=True)
    for name in left:
        (run / name).write_text("{")
    parts = build(config)
    check_folder(run, config, resuming=False)
    claim(run, config, parts.examples, circumstances(parts, config))
    assert sorted(path.name for path in run.iterdir()) == [
        "circumstances.json",
        "config.yaml",
        "data.json",
    ]
    assert json.loads((run / "data.json").read_text())["images"] == 160


def test_a_folder_of_something_else_is_no_run(tmp_path, capsys):
    arguments = overrides(tmp_path, "epochs=1")
    config = configs.load("drawn_birds", arguments)
    run = Path(config.out) / configs.run_name(config)
    run.mkdir(parents=True)
    (run / "thesis.tex").touch()
    assert main(["train", "drawn_birds", *arguments, "resume=auto"]) == 2
    assert (
        capsys.readouterr().err
        == f"debias: {run} holds thesis.tex and no config.yaml, so it is not "
        + "the folder of a run: move or delete it\n"
    )
    assert [path.name for path in run.iterdir()] == ["thesis.tex"]


def test_a_run_without_circumstances_or_checkpoints_gets_them(tmp_path):
    """Nothing has been trained: this process is the first."""
    config = configs.load("drawn_birds", overrides(tmp_path, "epochs=1"))
    run = Path(config.out) / configs.run_name(config)
    parts = build(config)
    claim(run, config, parts.examples, circumstances(parts, config))
    (run / "circumstances.json").unlink()
    assert resume_in(run, config, parts.examples, circumstances(parts, config)) == {}
    assert json.loads((run / "circumstances.json").read_text()) == [circumstances(parts, config)]


def test_a_run_that_diverges_is_one_line(tmp_path, capsys):
    """A step of 1e20 times the gradient: the next loss is NaN, and no checkpoint holds it."""
    arguments = overrides(tmp_path, "optimizer.lr=1e20", "optimizer.name=sgd", "epochs=2")
    assert main(["train", "drawn_birds", *arguments]) == 2
    (line,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("debias: ")]
    assert (
        "training diverged: the loss of step 1 of epoch 0 (counted from 0) is not finite; no "
        "checkpoint" in line
    )
    assert not list(tmp_path.rglob("*.ckpt"))
    assert not list(tmp_path.rglob("report.*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["waterbird"], "did you mean 'waterbirds'"),
        (["waterbirds"], "add data.root=..."),
        (["drawn_birds", *SMALL[:3], "model.name=resnet5000"], "timm has no model 'resnet5000'"),
    ],
)
def test_one_clear_line_before_anything_is_made(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("debias: ")
    assert not (tmp_path / "runs").exists()
