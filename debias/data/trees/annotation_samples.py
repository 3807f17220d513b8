"""Samples of data sets whose annotations are not tables: their files, and the paths of pictures."""

import json
import pickle
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from debias.data.examples import SPLITS
from debias.data.sets.gendered import COCO, IMSITU, Annotations

CLASSES = ("kite", "cup")
PARTS = {"train": "train2014", "test": "val2014"}


def coco_gender(root: Path, each: int) -> list[str]:
    """Write annotations like those of COCO with gender: ``each`` pictures per split and group.

    Returns:
        The paths of the pictures below ``root``.
    """
    rows = _people(each, lambda number, gender, label: {
        "file_name": f"COCO_{number:012d}.jpg",
        "image_id": number,
        "objects": [int(label == place) for place in range(len(CLASSES))],
        "gender": [1 - gender, gender],
    })  # fmt: skip
    return _written(root, COCO, rows)


def imsitu_gender(root: Path, each: int) -> list[str]:
    """Write annotations like those of imSitu with gender; as :func:`coco_gender`."""
    rows = _people(each, lambda number, gender, label: {
        "image_name": f"{CLASSES[label]}_{number}.jpg",
        "verb": label,
        "gender": gender,
    })  # fmt: skip
    return _written(root, IMSITU, rows)


def coco_stuff(root: Path, each: int) -> list[str]:
    """Write annotations like those of COCO-Stuff; as :func:`coco_gender`.

    Each group has a skateboard or none, and a person or none. One picture in two has a road.
    """
    things, stuff = {1: "person", 41: "skateboard"}, {149: "road", 183: "other"}
    paths: list[str] = []
    roads: list[tuple[int, int]] = []
    for part, folder in PARTS.items():
        pairs = []
        first = len(paths)
        for person, board, _ in product(range(2), range(2), range(5 * each)):
            pairs += [(len(paths), kind) for kind, there in ((1, person), (41, board)) if there]
            roads += [(len(paths), 149)] * (len(paths) % 2)
            paths.append(f"{folder}/COCO_{len(paths):012d}.jpg")
        year = "train2014" if part == "train" else "val2014"
        _annotate(root / f"annotations/instances_{year}.json", things, pairs, paths, first)
    _annotate(root / "annotations/stuff_train2017.json", stuff, roads, paths, 0)
    _annotate(root / "annotations/stuff_val2017.json", stuff, [], paths, 0)
    return paths


def _people(each: int, row: Any) -> dict[str, list[dict[str, Any]]]:
    """Rows of each split: every gender and class, ``each`` times, numbered from 0."""
    rows: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    groups = product(SPLITS, range(2), range(len(CLASSES)), range(each))
    for number, (split, gender, label, _) in enumerate(groups):
        rows[split].append(row(number, gender, label))
    return rows


def _written(root: Path, kind: Annotations, rows: dict[str, list[dict[str, Any]]]) -> list[str]:
    files: dict[str, object] = {f"{split}.data": every for split, every in rows.items()}
    files[kind.names] = {kind.key: dict(enumerate(CLASSES))}
    for name, content in files.items():
        (root / name).write_bytes(pickle.dumps(content, protocol=0))
    return [kind.picture(row, split) for split in rows for row in rows[split]]


def _annotate(
    path: Path,
    categories: dict[int, str],
    pairs: Sequence[tuple[int, int]],
    paths: Sequence[str],
    first: int,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [image.rpartition("/")[2] for image in paths]
    content = {
        "images": [{"id": n, "file_name": names[n]} for n in range(first, len(names))],
        "categories": [{"id": number, "name": name} for number, name in categories.items()],
        "annotations": [{"image_id": image, "category_id": kind} for image, kind in pairs],
    }
    path.write_text(json.dumps(content), encoding="utf-8")
