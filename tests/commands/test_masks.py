"""``debias masks``: what it writes is what training then reads, and mistakes are one line."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from debias.__main__ import MASK_METHODS, main
from debias.commands.masks import METHODS, SHEET, summary
from debias.data.masks.files import MaskRecord
from debias.data.sets.drawn_birds import drawn_birds
from tests.commands.conftest import SMALL


@pytest.fixture(scope="module")
def birds(tmp_path_factory) -> Path:
    """Drawn birds without masks in ``birds``, their masks in ``truth``, and hints made of these."""
    folder = tmp_path_factory.mktemp("masks")
    examples = drawn_birds(root=str(folder / "birds"), train=24, val=8, test=8)
    (folder / "birds/segmentations").rename(folder / "truth")
    boxes, points, pairs = ["path,x,y,width,height"], ["path,x,y"], ["path,mask"]
    for image, mask in zip(examples.images, examples.masks, strict=True):
        rows, columns = np.nonzero(cv2.imread(str(folder / "truth" / mask), cv2.IMREAD_GRAYSCALE))
        boxes.append(
            f"{image},{columns.min()},{rows.min()},{np.ptp(columns) + 1},{np.ptp(rows) + 1}"
        )
        places = range(0, len(rows), len(rows) // 12)
        points += [f"{image},{columns[place]},{rows[place]}" for place in places]
        pairs.append(f"{image},truth/{mask}")
    for name, lines in (("boxes", boxes), ("keypoints", points), ("import", pairs)):
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return folder


def command(birds: Path, method: str, out: Path, *more: str) -> list[str]:
    given = [f"data.root={birds}/birds", f"source={birds}/{method}.csv", f"out={out}"]
    return ["masks", method, "waterbirds", *given, *more]


def agreement(birds: Path, out: Path) -> list[float]:
    """Intersection over union of each mask with the one that the bird was drawn with."""
    found = []
    for path in sorted(out.glob("*/*.png")):
        made, true = (
            cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) > 0
            for file in (path, birds / "truth" / path.relative_to(out))
        )
        found.append(float((made & true).sum() / (made | true).sum()))
    return found


@pytest.mark.parametrize(
    ("method", "least"), [("boxes", 0.75), ("keypoints", 0.7), ("import", 1.0)]
)
def test_masks_of_every_image_in_the_loaders_layout(birds, tmp_path, capsys, method, least):
    """40 birds of 64 pixels, with legs a pixel wide; what is imported is the same to the bit."""
    out = tmp_path / "out"
    assert main(command(birds, method, out)) == 0
    agreements = agreement(birds, out)
    assert len(agreements) == 40
    assert np.median(agreements) >= least
    assert capsys.readouterr().out.startswith("40 masks: ")
    assert cv2.imread(str(out / SHEET)).shape == (4 * 192, 6 * 192, 3)
    written = cv2.imread(str(next(out.glob("*/*.png"))), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(written)) == {0, 255}


def test_a_second_call_keeps_what_is_there_unless_told(birds, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = command(birds, "import", out, "splits=[train]")
    assert main(arguments) == 0
    assert len(agreement(birds, out)) == 24
    victim = next(out.glob("*/*.png"))
    cv2.imwrite(str(victim), np.zeros((64, 64), np.uint8))
    capsys.readouterr()
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "0 made, 0 not found" in said
    assert "24 kept from before" in said
    assert f"1 empty: {victim.relative_to(out).with_suffix('.jpg')}" in said
    assert main([*arguments, "overwrite=true"]) == 0
    assert agreement(birds, out) == [1.0] * 24


def test_training_reads_the_masks(birds, tmp_path):
    """Recombination needs a mask for every training image: refused without, trained with them."""
    out = tmp_path / "out"
    assert main(command(birds, "boxes", out, "splits=[train]")) == 0
    small = [text for text in SMALL if not text.startswith(("data.", "epochs"))]
    arguments = [
        "train",
        "waterbirds",
        "augment.name=recombination",
        f"data.root={birds}/birds",
        f"out={tmp_path}/runs",
        *small,
    ]
    arguments += ["epochs=1", "model.pretrained=false"]
    assert main(arguments) == 2
    assert main([*arguments, f"data.masks={out}"]) == 0
    (report,) = (tmp_path / "runs").glob("*/report.json")
    assert json.loads(report.read_text())["config"]["data"]["masks"] == str(out)


def test_where_a_trained_model_looks(finished, tmp_path, capsys):
    """At 32 pixels the last stage has one place and is refused: an earlier one is named."""
    pytest.importorskip("captum")
    arguments = ["masks", "gradcam", str(finished), "splits=[val]", f"out={tmp_path}/out"]
    assert main(arguments) == 2
    assert "has a single position: name an earlier one" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "out")
    assert main([*arguments, "layer=backbone.layer2", "threshold=0.4"]) == 0
    masks = [
        cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in (tmp_path / "out").glob("*/*.png")
    ]
    assert len(masks) == 40
    assert {mask.shape for mask in masks} == {(64, 64)}
    assert any(mask.any() for mask in masks)
    record = json.loads((tmp_path / "out/debias_masks.json").read_text())
    options = {"layer": "backbone.layer2", "threshold": 0.4, "target": "true"}
    assert record == {"method": "gradcam", **options, "run": str(finished)}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["sorce=x"], "unknown option 'sorce'; did you mean 'source'?"),
        (["splits=[foo]"], "splits must hold some of train, val, test, as in splits=[train]; got "),
        (["splits=[]"], "must hold some of train, val, test"),
        (["threshold=0.5"], "unknown option 'threshold'"),
        (["overwrite=perhaps"], "masks.overwrite"),
        (["out"], "override 'out' must be key=value"),
        (["out=[["], "out=[[ cannot be read"),
        (["data.rot=x"], "unknown option data.rot; did you mean 'root'?"),
        (["source=nowhere.csv"], "no file nowhere.csv"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(birds, tmp_path, capsys, more, message):
    assert main(command(birds, "boxes", tmp_path / "out", *more)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("absent", ["source", "out"])
def test_an_option_without_default_is_asked_for(birds, tmp_path, capsys, absent):
    arguments = [
        text for text in command(birds, "boxes", tmp_path / "out") if not text.startswith(absent)
    ]
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"debias: masks need {absent}: add {absent}=...\n"


def test_the_command_line_names_every_method():
    assert list(MASK_METHODS) == list(METHODS)


def test_the_summary_counts_and_names_what_is_odd():
    """Shares 0, 0, 0, 0, 1 and 0.4: 1.4 / 6 is 23.3 %."""
    records = [MaskRecord(row, f"{row}.jpg", "made", 0.0) for row in range(4)]
    records += [MaskRecord(4, "4.jpg", "fallback", 1.0), MaskRecord(5, "5.jpg", "kept", 0.4)]
    assert summary(records) == [
        "6 masks: 4 made, 1 not found (the hint's own shape, or empty), 1 kept from before",
        "foreground: 23.3 % of a picture on average",
        "4 empty: 0.jpg, 1.jpg, 2.jpg and 1 more",
        "1 full: 4.jpg",
    ]
