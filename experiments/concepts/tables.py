"""Writes the concepts of drawn birds: the lengths of their parts, and the water behind them.

usage: python experiments/concepts/tables.py FOLDER    # of drawn birds; a new one is drawn
"""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from debias.csv_files import read_csv
from debias.data.sets.bird_drawing import KINDS, Traits, background, drawn_traits
from debias.data.sets.drawn_birds import drawn_birds
from debias.json_files import read_json

TRAITS = [f"long_{name}" for name in Traits._fields]
#: A part is long if it is longer than the middle between the two kinds.
LONG = np.mean(KINDS, axis=0)
#: What speaks for a landbird: a long tail. The other parts speak for a waterbird.
SIGNS = {"landbird": (-1, -1, -1, 1, 0), "waterbird": (1, 1, 1, -1, 0)}


def rows(folder: Path) -> Iterator[list[Any]]:
    """Image path, the four long parts and the water, of every image; the drawing is repeated."""
    settings = read_json(folder / "drawn_birds.json", dict, entries={}, remedy="draw them again")
    columns = read_csv(folder / "metadata.csv")
    labels = zip(
        *(columns.integers(name).tolist() for name in ("y", "split", "place")), strict=True
    )
    for path, (target, split, place) in zip(columns.paths("img_filename"), labels, strict=True):
        number = int(path.rpartition("_")[2].removesuffix(".jpg"))
        rng = np.random.default_rng([settings["seed"], split, number])
        background(rng, place, settings["size"])  # drawn before the bird
        long = drawn_traits(rng, target) > LONG
        yield [path, *long.astype(int).tolist(), place]


def write(path: Path, lines: list[list[Any]]) -> None:
    """Write a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)


def main(folder: Path) -> None:
    """Write the parts, the parts with the water, and the signs of all of them."""
    if not (folder / "drawn_birds.json").exists():
        drawn_birds(root=str(folder), train=1000)
    found, names = list(rows(folder)), [*TRAITS, "on_water"]
    write(folder / "parts.csv", [["path", *TRAITS], *(row[:-1] for row in found)])
    write(folder / "parts_and_water.csv", [["path", *names], *found])
    write(folder / "signs.csv", [["class", *names], *([name, *s] for name, s in SIGNS.items())])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
