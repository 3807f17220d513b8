"""``debias evaluate``: the same metrics from saved predictions and weights, never from others."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from debias import config as configs
from debias.__main__ import main
from debias.build import build
from debias.commands import evaluate
from debias.commands.train import train
from debias.errors import InputError
from debias.evaluation import saved as trained_runs
from debias.evaluation.evidence import Evidence
from debias.evaluation.measures import SEVERAL, measure_all
from debias.json_files import plain
from debias.metrics.fairness.rates import fairness_report
from debias.metrics.families import FAMILIES, of_positive
from debias.reports.predictions import read
from debias.reports.record import read_report
from tests.commands.conftest import overrides
from tests.data.small_pictures import write_png
from tests.reports.sample_runs import typed_report

#: Families that only images with several labels have.
OF_LABELS = {"context", "thresholds"}


@pytest.fixture
def copied(finished, tmp_path):
    run = tmp_path / "copied"
    shutil.copytree(finished, run)
    return run


def metrics_of(run):
    return json.loads((run / "report.json").read_text())["metrics"]


def test_recomputes_what_training_reported(copied, finished, capsys):
    predictions = (copied / "predictions" / "test.csv").read_bytes()
    report = json.loads((copied / "report.json").read_text())
    (copied / "report.json").write_text(json.dumps(report | {"metrics": {}}))
    (copied / "predictions" / "test.csv").unlink()
    evaluate.run(str(copied), ["progress=false"])
    assert metrics_of(copied) == metrics_of(finished)
    assert (copied / "predictions" / "test.csv").read_bytes() == predictions
    printed = capsys.readouterr().out.splitlines()
    worst = 100 * metrics_of(finished)["test"]["scalars"]["worst_group"]
    assert f"  worst_group      {worst:5.1f}" in printed
    assert f"predicted again: {copied}/predictions/test.csv: no such file" in printed
    assert printed[-1] == f"{copied}/report.html"


def test_saved_and_fresh_predictions_give_the_same_report(copied, capsys, monkeypatch):
    """But for the time and place of the evaluation; nothing is predicted where a file will do."""
    evaluate.run(str(copied), ["measures=quick", "progress=false", "fresh=true"])
    fresh = json.loads((copied / "report.json").read_text())
    predictions = {path.name: path.read_bytes() for path in (copied / "predictions").iterdir()}
    monkeypatch.setattr("debias.evaluation.predictions.predict_splits", None)
    evaluate.run(str(copied), ["measures=quick", "progress=false"])
    saved = json.loads((copied / "report.json").read_text())
    assert saved["metrics"]["test"]["scalars"] == fresh["metrics"]["test"]["scalars"]
    assert {key for key in saved if saved[key] != fresh[key]} <= {"evaluated"}
    assert {
        path.name: path.read_bytes() for path in (copied / "predictions").iterdir()
    } == predictions
    assert "predicted again" not in capsys.readouterr().out


def test_other_weights_than_the_saved_predictions_are_predicted_with(copied, finished, capsys):
    """The head of the checkpoint is turned round: who was right is wrong."""
    report = json.loads((copied / "report.json").read_text())
    path = copied / "checkpoints" / f"epoch={report['selection']['epoch']:03d}.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    for name in ("model.head.weight", "model.head.bias"):
        checkpoint["state_dict"][name].neg_()
    torch.save(checkpoint, path)
    evaluate.run(str(copied), ["measures=none", "progress=false"])
    assert "the saved predictions come from other weights" in capsys.readouterr().out
    before, after = (metrics_of(run)["test"]["scalars"]["average"] for run in (finished, copied))
    assert after == pytest.approx(1 - before)
    evaluate.run(str(copied), ["measures=none", "progress=false"])
    assert "predicted again" not in capsys.readouterr().out
    assert metrics_of(copied)["test"]["scalars"]["average"] == after


def test_a_report_of_an_earlier_version_is_predicted_anew_once(copied, capsys):
    report = json.loads((copied / "report.json").read_text())
    del report["predicted_from"]
    (copied / "report.json").write_text(json.dumps(report))
    for said in (True, False):
        evaluate.run(str(copied), ["measures=none", "progress=false"])
        assert ("the report does not name the weights" in capsys.readouterr().out) == said


def test_another_precision_is_predicted_anew(copied, finished, capsys):
    """And so are predictions of the run's own precision, once others have taken their place."""
    for override, saved in (
        ("precision=bf16-mixed", "32-true"),
        ("precision=32-true", "bf16-mixed"),
    ):
        evaluate.run(str(copied), ["measures=none", "progress=false", override])
        assert f"the saved predictions have precision={saved}" in capsys.readouterr().out
    assert metrics_of(copied) == metrics_of(finished)


def test_measures_of_earlier_predictions_are_dropped_with_a_line(copied, capsys):
    """The numbers of the run's own predictions do not stay beside those of others; what cannot be
    measured is told.
    """
    report = json.loads((copied / "report.json").read_text())
    report["measures"]["context"] = {"exclusive_precision": 0.5}  # as if there had been labels
    report["left_out"] = {"attention": "a map has a single place"}
    (copied / "report.json").write_text(json.dumps(report))
    evaluate.run(
        str(copied), ["measures=fairness,context", "progress=false", "precision=bf16-mixed"]
    )
    dropped = sorted(report["measures"].keys() - {"fairness"})
    line = (
        f"dropped measures of earlier predictions: {', '.join(dropped)}; "
        f"measures={','.join(dropped)} computes them again"
    )
    assert line in capsys.readouterr().out.splitlines()
    after = json.loads((copied / "report.json").read_text())
    assert set(after["measures"]) == {"fairness"}
    assert after["left_out"] == {
        "attention": "a map has a single place",
        "context": "images have one label each",
    }
    assert after["curves"] == {}


def test_the_folder_of_pictures_of_the_training_is_not_needed(tmp_path, capsys):
    folder = tmp_path / "pictures"
    write_png(folder / "plain.png", np.full((8, 8, 3), 90, np.uint8))
    options = ["strategy.name=ood_training", f"strategy.folder={folder}"]
    config = configs.load("drawn_birds", overrides(tmp_path, *options))
    run = train(config)
    digest = trained_runs.finished(run).module.strategy.pictures_digest
    shutil.rmtree(folder)
    assert torch.equal(trained_runs.finished(run).module.strategy.pictures_digest, digest)
    reported = metrics_of(run)
    evaluate.run(str(run), ["progress=false"])
    assert metrics_of(run) == reported
    with pytest.raises(ValueError, match=rf"no folder of pictures {folder}: correct the path$"):
        build(config)


def test_fresh_is_true_or_false(copied):
    with pytest.raises(ValueError, match="fresh must be true or false; got fresh=yes"):
        evaluate.run(str(copied), ["fresh=yes"])


def test_all_is_summed_up_and_what_is_asked_for_is_whole(copied, capsys):
    evaluate.run(str(copied), ["measures=quick", "progress=false"])
    quick = capsys.readouterr().out
    assert "demographic_parity_difference" in quick
    assert "precision/waterbird|land" not in quick
    assert len(quick.splitlines()) < 25
    evaluate.run(str(copied), ["measures=fairness", "progress=false"])
    assert "precision/waterbird|land" in capsys.readouterr().out


def test_training_reports_the_quick_measures(finished):
    """Those that need no model are in every report, and are those of its own predictions."""
    report = json.loads((finished / "report.json").read_text())
    assert set(report["measures"]) == set(SEVERAL["quick"]) - OF_LABELS
    rows, groups = read(finished / "predictions" / "test.csv"), typed_report(report).groups
    expected = fairness_report(rows.prediction(groups), rows.target, rows.bias, groups)
    assert report["measures"]["fairness"] == plain(expected)
    assert report["left_out"] == dict.fromkeys(OF_LABELS, "images have one label each")
    assert len(report["curves"]["reliability"]) == 2
    assert report["curves"]["amplification"]["targets"] == ["landbird", "waterbird"]


def test_takes_every_measure_that_the_data_allows(copied, capsys):
    """Drawn birds have masks and biases: only Grad-CAM is left out, with one place a map."""
    evaluate.run(str(copied), ["progress=false"])
    report = json.loads((copied / "report.json").read_text())
    assert set(report["measures"]) | set(report["left_out"]) == set(SEVERAL["all"])
    assert set(report["left_out"]) <= {"attention", *OF_LABELS}
    assert 0.5 <= report["measures"]["features"]["leakage/features"] <= 1
    background = report["measures"]["background"]
    ratio = background["accuracy_all_backgrounds"] / background["accuracy_same_class_backgrounds"]
    assert background["background_robustness"] == pytest.approx(ratio)
    curve = report["curves"]["band_pass"]
    assert curve["low_pass"][0] == report["measures"]["frequency"]["low_pass/accuracy/0.01"]
    assert len(curve["cutoffs"]) == len(curve["low_pass"]) == len(curve["high_pass"])
    assert "background_robustness" in capsys.readouterr().out


def test_takes_only_the_measures_that_are_asked_for_and_keeps_the_others(copied):
    before = json.loads((copied / "report.json").read_text())
    evaluate.run(str(copied), ["progress=false", "measures=leakage"])
    after = json.loads((copied / "report.json").read_text())
    assert set(after["measures"]) == {*before["measures"], "leakage"}
    assert after["measures"]["fairness"] == before["measures"]["fairness"]
    with pytest.raises(ValueError, match="no measures 'fairnes'; did you mean 'fairness'"):
        evaluate.run(str(copied), ["measures=fairnes"])


def test_a_user_names_the_positive_class_of_a_run(copied, capsys):
    """Of landbird the true positive rate is the true negative rate of waterbird; what depends on
    neither class stays.

    The report keeps the choice, and drops what was measured of the other class and is not measured
    again.
    """
    before = json.loads((copied / "report.json").read_text())
    assert before["positive"] == "waterbird"
    evaluate.run(str(copied), ["measures=fairness", "progress=false", "positive=landbird"])
    lines = capsys.readouterr().out.splitlines()
    assert "positive class: landbird (fairness); positive=NAME sets another" in lines
    assert (
        "dropped measures of another positive class: scores; measures=scores computes them again"
        in lines
    )
    after = json.loads((copied / "report.json").read_text())
    assert after["positive"] == "landbird"
    assert after["measures"]["information"] == before["measures"]["information"]
    for bias in ("land", "water"):
        rates = after["measures"]["fairness"], before["measures"]["fairness"]
        found = rates[0][f"true_positive_rate/landbird|{bias}"]
        other = rates[1][f"false_positive_rate/waterbird|{bias}"]
        assert found == pytest.approx(1 - other)
    evaluate.run(str(copied), ["measures=scores", "progress=false"])
    assert "positive class: landbird (scores)" in capsys.readouterr().out
    assert set(json.loads((copied / "report.json").read_text())["measures"]) == set(
        before["measures"]
    )
    page = (copied / "report.html").read_text()
    assert page.count("Of the two classes, <b>landbird</b> is the positive one.") == 2
    with pytest.raises(ValueError, match="positive=landbirt is no class; did you mean 'landbird'"):
        evaluate.run(str(copied), ["positive=landbirt", "progress=false"])


def test_only_what_is_said_to_depends_on_the_positive_class(finished):
    report = json.loads((finished / "report.json").read_text())
    rows, groups = read(finished / "predictions" / "test.csv"), typed_report(report).groups
    every = [
        measure_all(Evidence(rows, groups, positive=name)).scalars for name in groups.target_names
    ]
    assert {
        name for name in every[0] if every[0][name] != pytest.approx(every[1][name], nan_ok=True)
    } == {*filter(of_positive, FAMILIES)}


@pytest.mark.parametrize(
    ("options", "positive", "gap"), [((), "wolf", 0.5), (("positive=dog",), "dog", 0.25)]
)
def test_scores_and_decisions_have_the_same_positive_class(
    options, positive, gap, tmp_path, capsys
):
    """Wolves are found 1 of 2 in the snow and 2 of 2 on grass, dogs 3 of 4 and 4 of 4: gaps of 1/2
    and of 1/4.

    The columns of the scores are in neither order; the classes' own is that of the alphabet.
    """
    snow = [("wolf", "wolf"), ("wolf", "dog"), *[("dog", "dog")] * 3, ("dog", "wolf")]
    grass = [("wolf", "wolf")] * 2 + [("dog", "dog")] * 4
    rows = [(place, *row) for place, some in (("snow", snow), ("grass", grass)) for row in some]
    decisions = [
        "target,bias,prediction",
        *(f"{target},{place},{chosen}" for place, target, chosen in rows),
    ]
    scores = ["target,bias,logit_wolf,logit_dog"]
    scores += [
        f"{target},{place},{int(chosen == 'wolf')},{int(chosen == 'dog')}"
        for place, target, chosen in rows
    ]
    for number, lines in enumerate((decisions, scores)):
        (tmp_path / f"{number}.csv").write_text("\n".join(lines) + "\n")
        evaluate.run(
            str(tmp_path / f"{number}.csv"),
            ["measures=fairness", f"out={tmp_path}/{number}.json", *options],
        )
        assert (
            f"positive class: {positive} (fairness); positive=NAME sets another"
            in capsys.readouterr().out
        )
        found = json.loads((tmp_path / f"{number}.json").read_text())
        assert found["positive"] == positive
        assert found["measures"]["fairness"]["equal_opportunity_difference"] == pytest.approx(gap)


def test_predictions_of_anybody_give_what_the_run_reports(finished, tmp_path, capsys):
    """The run's own file, read as a stranger's: the same accuracies and measures, and those of the
    model left out.
    """
    report = json.loads((finished / "report.json").read_text())
    train, out = finished / "predictions" / "train.csv", tmp_path / "found.json"
    options = [
        f"train={train}",
        "aligned=[[landbird,0],[waterbird,1]]",
        f"out={out}",
        "measures=all",
    ]
    evaluate.run(str(finished / "predictions" / "test.csv"), options)
    found = json.loads(out.read_text())
    groups = [group["accuracy"] for group in report["metrics"]["test"]["groups"]]
    assert [group["accuracy"] for group in found["metrics"]["groups"]] == groups
    scalars = report["metrics"]["test"]["scalars"]
    names = ("worst_group", "adjusted_average", "bias_conflicting")
    assert {name: found["metrics"]["scalars"][name] for name in names} == {
        name: scalars[name] for name in names
    }
    for family in ("fairness", "amplification", "information"):
        shared = found["measures"][family].keys() & report["measures"][family].keys()
        assert len(shared) > 2
        assert {key: found["measures"][family][key] for key in shared} == {
            key: report["measures"][family][key] for key in shared
        }
    assert set(found["left_out"]) == OF_LABELS | {
        "features",
        "background",
        "placement",
        "attention",
        "frequency",
        "altered",
    }
    assert "there are only predictions" in capsys.readouterr().out


def test_a_class_named_no_and_a_list_of_measures_are_read_as_they_are_given(tmp_path, capsys):
    """YAML reads no as false. Measures that the user names are printed whole, also as a list."""
    path = tmp_path / "p.csv"
    path.write_text("target,group,prediction\nno,m,no\nyes,f,yes\nno,f,yes\nyes,m,yes\n")
    evaluate.run(str(path), ["bias=group", "positive=no", 'measures=["fairness", "information"]'])
    printed = capsys.readouterr().out
    assert "positive class: no (fairness)" in printed
    assert "false_positive_rate/no|f" in printed


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("bias=7", "no column '7'; valid: bias, prediction, target; name a column"),
        ("positive=3", "positive=3 is no class; "),
        ("positive=[0]", "positive=[0] is no class; "),
        (
            "aligned=[7,8]",
            "aligned must hold pairs, as in aligned=[[landbird,land],[waterbird,water]]; got 7",
        ),
        ("aligned=[[", "override aligned=[[ cannot be read: "),
        ("train=[a.csv]", "train=['a.csv'] has the wrong type; train: CSV file"),
        ("train=folder.csv", "no file folder.csv: correct the path, or put the file there"),
        ("out=7", "out=7 has the wrong type; out: JSON file"),
        ("out=folder.csv", "out=folder.csv cannot be written (Is a directory): give another file"),
        (
            "out=a.csv/found.json",
            "out=a.csv/found.json cannot be written (File exists): give another file",
        ),
    ],
)
def test_a_wrong_option_of_predictions_is_one_line(option, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("folder.csv").mkdir()
    Path("a.csv").write_text("target,bias,prediction\n0,0,0\n1,1,1\n")
    assert main(["evaluate", "a.csv", option, "measures=none"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("debias: ")
    assert message in line
    assert main(["evaluate", "folder.csv"]) == 2
    assert (
        capsys.readouterr().err
        == "debias: no file folder.csv: correct the path, or put the file there\n"
    )


@pytest.mark.parametrize("rule", ["average", "last"])
def test_another_rule_is_printed_and_not_written(rule, copied, capsys):
    before = (copied / "report.json").read_bytes()
    evaluate.run(str(copied), [f"select={rule}", "progress=false"])
    table = {row["rule"]: row["epoch"] for row in json.loads(before)["selection"]["table"]}
    assert table["last"] == 2
    assert f"(epoch {table[rule]})" in capsys.readouterr().out
    assert (copied / "report.json").read_bytes() == before


def test_a_checkpoint_brings_its_own_config(finished, tmp_path, capsys):
    epoch = json.loads((finished / "report.json").read_text())["selection"]["epoch"]
    moved = tmp_path / "weights.ckpt"
    shutil.copy(finished / "checkpoints" / f"epoch={epoch:03d}.ckpt", moved)
    evaluate.run(str(moved), ["progress=false"])
    worst = 100 * metrics_of(finished)["val"]["scalars"]["worst_group"]
    assert f"val: worst_group {worst:.1f}, " in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [moved]


def test_refuses_weights_that_are_not_the_run_s(copied):
    selected = json.loads((copied / "report.json").read_text())["selection"]["epoch"]
    path = copied / "checkpoints" / f"epoch={selected:03d}.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint["state_dict"]["model.head.weight"]
    torch.save(checkpoint, path)
    with pytest.raises(ValueError, match=r"another model or strategy(?s:.)*model\.head\.weight"):
        evaluate.run(str(copied), [])
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="is damaged, or not a checkpoint of debias"):
        evaluate.run(str(copied), [])
    path.unlink()
    with pytest.raises(ValueError, match="no checkpoint"):
        evaluate.run(str(copied), [])


def test_refuses_what_is_not_a_finished_run(copied, tmp_path):
    (copied / "report.json").unlink()
    with pytest.raises(ValueError, match="has not finished"):
        evaluate.run(str(copied), [])
    with pytest.raises(ValueError, match="does not exist"):
        evaluate.run(str(tmp_path / "nothing"), [])


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Harm:
        def __reduce__(self):
            return (tmp_path / "harmed").touch, ()

    torch.save({"state_dict": {}, "config": Harm()}, tmp_path / "harm.ckpt")
    with pytest.raises(ValueError, match="is not a checkpoint"):
        evaluate.run(str(tmp_path / "harm.ckpt"), [])
    assert not (tmp_path / "harmed").exists()


def test_the_config_of_the_run_is_left_as_it_was(copied):
    before = configs.read(copied / "config.yaml")
    evaluate.run(str(copied), ["eval_batch_size=7", "progress=false"])
    assert configs.read(copied / "config.yaml") == before
    assert json.loads((copied / "report.json").read_text())["config"] == configs.plain(before)


@pytest.mark.parametrize(
    "override", ["preprocessing.size=64", "strategy.step_size=1", "seed=1", "data.aligned=0.5"]
)
def test_an_override_that_changes_what_was_trained_is_refused(copied, override):
    before = (copied / "report.json").read_bytes()
    with pytest.raises(
        ValueError,
        match=rf"{override.partition('.')[0].partition('=')[0]}.*would change what was trained",
    ):
        evaluate.run(str(copied), [override])
    assert (copied / "report.json").read_bytes() == before


def test_other_data_is_refused(copied, tmp_path):
    """The same run against a root whose rows are other ones."""
    report = json.loads((copied / "report.json").read_text())
    report["data"]["counts"]["test"][0] += 1
    (copied / "report.json").write_text(json.dumps(report))
    with pytest.raises(ValueError, match="counts differ"):
        evaluate.run(str(copied), [])


def test_other_images_with_the_same_counts_are_refused(copied, tmp_path):
    """Two training images trade labels, class and background; the report has their digest."""
    source = Path(configs.read(copied / "config.yaml").data["root"])
    shutil.copytree(source, tmp_path / "birds")
    table = tmp_path / "birds" / "metadata.csv"
    header, *rows = (line.split(",") for line in table.read_text().splitlines())
    labels = [header.index(name) for name in ("y", "place")]
    train = [row for row in rows if row[header.index("split")] == "0"]
    first = train[0]
    other = next(row for row in train if all(row[column] != first[column] for column in labels))
    for column in labels:
        first[column], other[column] = other[column], first[column]
    table.write_text("\n".join(map(",".join, [header, *rows])) + "\n")
    with pytest.raises(
        ValueError, match="is not the data of the run: images, their labels or splits differ"
    ):
        evaluate.run(str(copied), [f"data.root={tmp_path}/birds"])


def test_a_run_that_cannot_be_written_is_told_before_the_work(copied, monkeypatch):
    monkeypatch.setattr("os.access", lambda place, mode: place != copied)
    monkeypatch.setattr("debias.commands.evaluate.build", None)
    best = copied / "checkpoints" / f"epoch={read_report(copied).selection.epoch:03d}.ckpt"
    with pytest.raises(InputError, match=f"cannot be written: .* evaluate {best}, which writes"):
        evaluate.run(str(copied), ["progress=false"])


def test_a_moved_run_writes_nowhere_else(copied, tmp_path, monkeypatch):
    """The pictures are decoded beside the run, not where it once was, nor in the run."""
    monkeypatch.chdir(copied)
    evaluate.run(".", ["progress=false"])
    assert {path.name for path in tmp_path.iterdir()} == {"copied", "cache"}
    assert not (copied / "cache").exists()


def test_a_finished_run_is_made_anonymous(copied):
    report = json.loads((copied / "report.json").read_text())
    assert report["config"]["data"]["root"].startswith("/")
    evaluate.run(str(copied), ["anonymous=true", "progress=false", "measures=none"])
    found = json.loads((copied / "report.json").read_text())
    assert found["config"]["anonymous"] is True
    assert found["config"]["data"]["root"] == "birds"
    assert found["metrics"] == report["metrics"]
