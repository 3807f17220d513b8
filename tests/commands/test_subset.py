"""CelebA's official tables with a part of its pictures: trains, and no file is edited."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from debias.__main__ import main
from debias.reports.record import read_report

ROWS, PICTURES = 5000, 200
NAMES = [f"Attribute_{number}" for number in range(37)] + ["Blond_Hair", "Male", "Young"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables of 5,000 faces in the layout of the release, and every 25th picture."""
    place = tmp_path_factory.mktemp("celeba")
    generator = np.random.default_rng(0)
    values = 2 * generator.integers(0, 2, (ROWS, len(NAMES))) - 1
    faces = [f"{row + 1:06d}.jpg" for row in range(ROWS)]
    lines = [
        " ".join([face, *(f"{value:2d}" for value in row)])
        for face, row in zip(faces, values, strict=True)
    ]
    table = "\n".join([str(ROWS), " ".join(NAMES), *lines, ""])
    (place / "list_attr_celeba.txt").write_text(table)
    splits = [0 if row < 0.8 * ROWS else 1 if row < 0.9 * ROWS else 2 for row in range(ROWS)]
    parts = [f"{face} {split}\n" for face, split in zip(faces, splits, strict=True)]
    (place / "list_eval_partition.txt").write_text("".join(parts))
    (place / "identity_CelebA.txt").write_text(
        "".join(f"{face} {row % 40}\n" for row, face in enumerate(faces))
    )
    (place / "img_align_celeba").mkdir()
    for face in faces[:: ROWS // PICTURES]:
        picture = generator.integers(0, 256, (24, 20, 3), dtype=np.uint8)
        cv2.imwrite(str(place / "img_align_celeba" / face), picture)
    return place


def command(root: Path, folder: Path, *more: str) -> list[str]:
    small = ["preprocessing.size=32", "model.name=test_resnet", "model.pretrained=false"]
    small += ["epochs=1", "batch_size=32", "precision=32-true", "accelerator=cpu", "progress=false"]
    return ["celeba", *small, f"data.root={root}", f"out={folder}/runs", *more]


def test_the_official_tables_train_with_the_pictures_at_hand(root, tmp_path, capsys):
    assert main(["train", *command(root, tmp_path, "data.missing=leave_out")]) == 0
    printed = capsys.readouterr()
    line = (
        "rows without a picture are left out: train 3840 of 4000, val 480 of 500, test 480 of 500"
    )
    assert printed.err.count(line) == 1
    report = read_report(Path(printed.out.split()[-1]).parent)
    assert {split: sum(counts) for split, counts in report.data.counts.items()} == {
        "train": 160,
        "val": 20,
        "test": 20,
    }


def test_missing_pictures_are_an_error_that_names_the_option(root, tmp_path, capsys):
    assert main(["check", *command(root, tmp_path)]) == 2
    assert "data.missing=leave_out" in capsys.readouterr().err
