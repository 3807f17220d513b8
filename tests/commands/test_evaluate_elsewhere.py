"""A model on another data set: what it decides, what is measured, and one line for each mistake."""

import csv
import json

import numpy as np
import pytest
from torch import nn

import debias
from debias.__main__ import main
from debias.commands import evaluate_elsewhere
from debias.data.class_maps import WNIDS, readable
from debias.data.pictures.geometry import Geometry, Resize
from debias.errors import InputError
from debias.presets import names, preset
from debias.reports.record import read_report
from debias.trained.picture_model import PictureModel
from debias.types import Groups, Outputs
from tests.data.small_pictures import write_png

MODEL = "timm:colours"


class Colours(nn.Module):
    """A classifier of ImageNet that reads its decision from a plain colour.

    The highest output is that of the position red * 256 + green, the second that of blue * 4 + 1.
    """

    mean, std = (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)

    def forward(self, image):
        red, green, blue = image[:, :, 0, 0].round().long().unbind(dim=1)
        first, second = (
            nn.functional.one_hot(place, len(WNIDS)).float()
            for place in (red * 256 + green, blue * 4 + 1)
        )
        logits = 20 * first + 10 * second
        return Outputs(logits, logits)


def show(place, path):
    """Write a picture that this model takes for the class at this position of ImageNet.

    A pair of positions also says the second class; otherwise it is the goldfish.
    """
    place, second = place if isinstance(place, tuple) else (place, 1)
    write_png(path, np.full((6, 7, 3), (place // 256, place % 256, second // 4), np.uint8))


@pytest.fixture
def colours(monkeypatch):
    def model(name, weights):
        assert (name, weights) == ("colours", None)
        geometry = Geometry((Resize(4, 4),), 4, 4)
        return PictureModel(Colours(), geometry, Groups(WNIDS, ("unknown",)))

    monkeypatch.setattr(evaluate_elsewhere, "pretrained", model)


def test_a_network_of_timm_on_folders_of_wnids(colours, tmp_path, capsys):
    """Two of three pictures are right, and the numbers and decisions are in files."""
    for number, (wnid, place) in enumerate(((3, 3), (3, 900), (900, 900))):
        show(place, tmp_path / "data" / "test" / WNIDS[wnid] / f"{number}.png")
    options = [f"root={tmp_path / 'data'}", f"out={tmp_path / 'a.json'}", "measures=none"]
    options += [f"predictions={tmp_path / 'a.csv'}", "batch_size=2", "progress=false"]
    assert main(["evaluate", MODEL, "data=folder", *options]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"{MODEL} on folder, test: 3 images; the classes are the 1000 of the model"
    assert any(line.split()[:2] == ["average", "66.7"] for line in printed)
    numbers = json.loads((tmp_path / "a.json").read_text())["metrics"]
    assert numbers["scalars"]["average"] == pytest.approx(2 / 3)
    with (tmp_path / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    third, last = (readable(WNIDS[place]) for place in (3, 900))
    assert [(row["target"], row["prediction"]) for row in rows] == [
        (third, third), (third, last), (last, last),
    ]  # fmt: skip
    assert float(rows[1][f"logit_{last}"]) == 20


@pytest.mark.filterwarnings("ignore:.*no image has the predicted class 'another class'")
@pytest.mark.parametrize("name", ["cue_conflict", "imagenet9"])
def test_the_file_of_predictions_has_the_same_measures(name, colours, tmp_path):
    """With scores, and with decisions alone."""
    for path, place in TREES[name][0].items():
        show(place, (tmp_path / "data" / path).with_suffix(".png"))
    file = tmp_path / "a.csv"
    options = {"data": name, "root": tmp_path / "data", "predictions": file, "progress": False}
    found = debias.evaluate(MODEL, options)
    family = preset(name).measures[0]
    again = debias.evaluate(file, {"measures": family}).measures[family]
    some = {key: found.measures[family][key] for key in again}
    assert again == pytest.approx(some, nan_ok=True)
    assert {"shape_bias", "background_gap"} & set(again)
    assert ("logit_" in file.read_text()) == (name == "cue_conflict")


def test_a_run_on_its_own_data_has_the_accuracies_of_its_report(finished):
    report = read_report(finished)
    root = debias.TrainedRun(finished).report.config["data"]["root"]
    options = {"data": "drawn_birds", "root": root, "progress": False}
    options |= {f"data.{split}": count for split, count in (("train", 80), ("val", 40))}
    before = (finished / "report.json").read_bytes()
    evaluation = debias.evaluate(finished, options | {"data.test": 40})
    assert evaluation.table()["accuracy"].tolist() == [
        pytest.approx(cell.accuracy) for cell in report.test.cells
    ]
    assert "shortcuts" in evaluation.measures
    assert evaluation.positive == "waterbird"
    assert set(evaluation.left_out) == {"context", "thresholds"}  # which need several labels
    assert (finished / "report.json").read_bytes() == before
    validation = debias.evaluate(finished, options | {"data.test": 40, "split": "val"})
    assert list(validation.splits) == ["val"]
    assert validation.table("val")["accuracy"].tolist() == [
        pytest.approx(cell.accuracy) for cell in report.val.cells
    ]


def test_a_config_names_the_data(finished, tmp_path):
    root = debias.TrainedRun(finished).report.config["data"]["root"]
    config = tmp_path / "birds.yaml"
    config.write_text("extends: drawn_birds\ndata: {train: 80, val: 40, test: 40}\n")
    options = {"data": config, "data.root": root, "measures": "none", "progress": False}
    assert debias.evaluate(finished, options).table()["count"].sum() == 40


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "timm:colours needs a data set: add data=NAME"),
        (["data=folder", "roots=a"], "unknown option 'roots' .* did you mean 'root'"),
        (["data=folder", "root=missing"], "no folder missing"),
        (['data="folder"', 'root="missing #1"'], "no folder missing #1"),
        (["data=foldr", "root=a"], "data=foldr is no data set, .*did you mean .folder"),
        (["data=folder", "root=DATA", "split=val"], "split=val has no image; the data has test"),
        (["data=folder", "root=DATA", "out=DATA"], "out=.* is a folder: give a file in it"),
        (["data=folder", "root=DATA", "predictions=DATA"], "predictions=.* is a folder"),
        (["data=folder", "root=DATA", "split=best"], "split must be one of train, val, test"),
        (["data=folder", "root=DATA", "batch_size=0"], "batch_size must be at least 1"),
        (["data=folder", "root=DATA"], "the model has no class cat; its classes are n01440764"),
        (["data=folder", "root=DATA", "measures=cue"], "measures=cue: no measures 'cue'"),
    ],
)
def test_a_mistake_is_one_line(options, message, colours, tmp_path, capsys):
    show(0, tmp_path / "test" / "cat" / "a.png")
    options = [text.replace("DATA", str(tmp_path)) for text in options]
    with pytest.raises(InputError, match=message):
        debias.evaluate(MODEL, options)
    assert main(["evaluate", MODEL, *options]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_weights_are_for_networks_of_timm(finished):
    with pytest.raises(InputError, match=r"weights=a\.pt is for a network of timm; got the run"):
        debias.evaluate(finished, ["data=drawn_birds", "weights=a.pt"])


def test_a_file_is_no_model(tmp_path):
    (tmp_path / "a.csv").write_text("target,prediction\n")
    with pytest.raises(InputError, match=r"data=folder needs a run's folder or timm:NAME; got"):
        debias.evaluate(tmp_path / "a.csv", ["data=folder"])


def test_a_damaged_picture_is_an_error(colours, tmp_path):
    show(0, tmp_path / "test" / WNIDS[0] / "a.png")
    (tmp_path / "test" / WNIDS[0] / "b.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"b\.png .* cannot be decoded"):
        debias.evaluate(MODEL, ["data=folder", f"root={tmp_path}", "progress=false"])


FILLED = "filled-silhouettes"
#: For each set that was made for classifiers of ImageNet, a tree by hand: the path of each picture,
#: and the position in ImageNet that the model takes it for. Then the share that is right, by hand.
TREES = {
    "imagenet": (
        {f"val/{WNIDS[5]}/a.JPEG": 5, f"val/{WNIDS[7]}/b.JPEG": 5, f"train/{WNIDS[5]}/c.JPEG": 7},
        1 / 2,
    ),
    # 6 is a stingray, and 13 a junco
    "imagenet_a": ({f"{WNIDS[6]}/a.jpg": 6, f"{WNIDS[13]}/b.jpg": 6}, 1 / 2),
    "imagenet_r": ({f"imagenet-r/{WNIDS[1]}/a.jpg": 1, f"imagenet-r/{WNIDS[2]}/b.jpg": 2}, 1),
    "imagenet_sketch": ({f"sketch/{WNIDS[0]}/a.JPEG": 0, f"sketch/{WNIDS[999]}/b.JPEG": 0}, 1 / 2),
    # as text, 10 is sorted before 2
    "imagenet_v2": ({"2/a.jpeg": 2, "10/b.jpeg": 10, "9/c.jpeg": 10}, 2 / 3),
    # 537 is a dog sled and 785 a seat belt; a tench is none of the fifteen, neither as the answer
    "hard_imagenet": (
        {
            f"val/{WNIDS[537]}/a.JPEG": 537,
            f"val/{WNIDS[785]}/b.JPEG": (0, 785),
            f"val/{WNIDS[0]}/c.JPEG": 0,
        },
        1 / 2,
    ),
    # 1 is a goldfish and 151 a dog; a volcano, 980, is none of the nine
    "imagenet9": (
        {
            "original/val/08_fish/a.JPEG": 1,
            "mixed_same/val/08_fish/a.JPEG": 1,
            "mixed_same/val/00_dog/b.JPEG": 151,
            "mixed_rand/val/08_fish/a.JPEG": 151,
            "mixed_rand/val/00_dog/b.JPEG": 151,
            "only_fg/val/00_dog/b.JPEG": 980,
        },
        4 / 6,
    ),
    "shape_only": (
        {
            "edges/cat/cat1.png": 281,
            "edges/dog/dog2.png": 281,
            "filled-silhouettes/dog/dog2.png": 152,
        },
        2 / 3,
    ),
    # 281 is a cat, 294 a bear, 152 a dog and 404 an airliner
    "cue_conflict": (
        {
            "cat/cat1-dog2.png": 281,
            "cat/cat2-bear1.png": 294,
            "cat/cat10-bear3.png": 294,
            "dog/dog1-cat2.png": 404,
            "dog/dog2-dog3.png": 152,
        },
        2 / 5,
    ),
}


def test_every_set_for_classifiers_of_imagenet_has_a_tree():
    assert set(TREES) == {name for name in names() if preset(name).imagenet}


@pytest.mark.parametrize("name", TREES)
def test_a_set_for_classifiers_of_imagenet(name, colours, tmp_path):
    pictures, right = TREES[name]
    for path, place in pictures.items():
        show(place, (tmp_path / path).with_suffix(".png"))
    evaluation = debias.evaluate(MODEL, {"data": name, "root": tmp_path, "progress": False})
    assert evaluation.splits["test"].scalars["average"] == pytest.approx(right)
    assert set(evaluation.measures) >= set(preset(name).measures)


def test_the_background_gap_of_imagenet_9(colours, tmp_path, capsys):
    """Both are right on same-class backgrounds, and one of two on any."""
    for path, place in TREES["imagenet9"][0].items():
        show(place, (tmp_path / "bg_challenge" / path).with_suffix(".png"))
    evaluation = debias.evaluate(MODEL, {"data": "imagenet9", "root": tmp_path, "progress": False})
    found = evaluation.measures["variants"]
    accuracies = (found[f"accuracy/{name}"] for name in ("original", "mixed_same", "mixed_rand"))
    assert (*accuracies, found["accuracy/only_fg"]) == (1, 1, 0.5, 0)
    assert found["background_gap"] == 0.5


def test_the_shape_bias_of_a_cue_conflict(colours, tmp_path, capsys):
    """Of four conflicts, one answer follows the shape (a cat), two follow the texture (bears), and
    an airliner follows none; the fifth picture has no conflict.
    """
    for path, place in TREES["cue_conflict"][0].items():
        show(place, tmp_path / path)
    assert main(["evaluate", MODEL, "data=cue_conflict", f"root={tmp_path}", "progress=false"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    for line in (
        ["shape_bias", "0.3333"],
        ["shape_fraction", "0.2000"],
        ["texture_fraction", "0.4000"],
        ["shape_accuracy", "0.2500"],
        ["shape_bias/cat", "0.3333"],
        ["shape_bias/dog", "-"],
    ):
        assert line in lines
    assert lines[-1][:2] == ["test:", "worst_group"]
