"""The form of a row, and the small world that its command runs in."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from debias import config as configs
from debias.commands.train import train
from tests.data.small_pictures import noise, write_png

#: A config on the table of this world; everything in it is small.
OWN = """
data: {name: table, csv: table.csv, root: images}
preprocessing: {name: resize, size: 16}
model: {name: test_resnet, pretrained: false}
batch_size: 4
epochs: 1
precision: 32-true
measures: none
accelerator: cpu
cache: false
progress: false
"""
ROWS = [
    (f"{row}.png", ("cat", "dog")[row % 2], ("day", "night")[row // 2 % 2]) for row in range(16)
]
SPLITS = ["train"] * 8 + ["val"] * 4 + ["test"] * 4
TABLE = "path,target,bias,split\n" + "".join(
    f"{path},{target},{bias},{split}\n"
    for (path, target, bias), split in zip(ROWS, SPLITS, strict=True)
)
PREDICTIONS = "target,bias,logit_cat,logit_dog\n" + "".join(
    f"{target},{bias},{row % 3},{row % 2}\n" for row, (_, target, bias) in enumerate(ROWS)
)
SWEEP = "configs: [own.yaml]\nseeds: [0, 1]\nout: sweep\n"
SEARCH = """
configs: [own.yaml]
labels: training_groups_known
search: {space: {optimizer.lr: {log_uniform: [1e-4, 1e-2]}}, trials: 2}
final_seeds: [5]
out: sweep
"""

#: A file of a row: its content, or ``None``: there is a folder of this name.
Files = Mapping[str, str | bytes | None]


class Case(NamedTuple):
    """A command with something wrong, and what the line must say.

    Args:
        kind: of the mistake.
        command: the arguments, with a space between them.
        expected: a part of the message.
        files: what is put into the folder before, over the files of the world.
    """

    kind: str
    command: str
    expected: str
    files: Files = {}  # noqa: RUF012 - never changed


def rows(kind: str, lines: Sequence[tuple[str, str] | tuple[str, str, Files]]) -> list[Case]:
    """Cases of one kind."""
    return [Case(kind, *line) for line in lines]


def make_world(folder: Path) -> Path:
    """A data set in a table, predictions, a config, a sweep, a search, masks, and a finished run,
    in one folder.
    """
    for row, (path, _, _) in enumerate(ROWS):
        write_png(folder / "images" / path, noise(row, 12, 12))
        write_png(folder / "masks" / path, np.tile(np.uint8([255] * 6 + [0] * 6), (12, 1)))
    texts = {"table.csv": TABLE, "predictions.csv": PREDICTIONS, "own.yaml": OWN}
    for name, text in (
        texts | {"sweep.yaml": SWEEP, "search.yaml": SEARCH, "empty.yaml": "{}\n"}
    ).items():
        (folder / name).write_text(text)
    here = Path.cwd()
    os.chdir(folder)
    try:
        train(configs.load("own.yaml", ["out=runs"])).rename("run")
        shutil.rmtree("runs")
        train(configs.load("own.yaml", ["out=sweep"])).rename("sweep/run")
    finally:
        os.chdir(here)
    return folder


def lay_out(world: Path, folder: Path, files: Files) -> None:
    """A copy of the world with other files in it; its own are links, which are only replaced."""
    shutil.copytree(world, folder, copy_function=os.link, dirs_exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.unlink(missing_ok=True)
        (path if content is None else path.parent).mkdir(parents=True, exist_ok=True)
        if content is not None:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
