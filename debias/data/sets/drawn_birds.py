"""The built-in data set: drawn birds, written once and read in the layout of Waterbirds."""

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from debias.data.examples import SPLITS, Examples
from debias.data.sets.bird_drawing import draw_bird
from debias.data.sets.waterbirds import GROUPS, waterbirds
from debias.errors import InputError
from debias.files import made_whole
from debias.json_files import read_json
from debias.progress import each

SETTINGS = "drawn_birds.json"
# Raise it whenever the pictures change, so that an old folder is not read as a new one.
DRAWING = 1
JPEG_QUALITY = 95


@dataclass(frozen=True)
class Settings:
    """All settings that the pictures depend on. A file in the folder records them."""

    drawing: int
    aligned: float
    train: int
    val: int
    test: int
    size: int
    seed: int


class MetadataRow(NamedTuple):
    """One row of ``metadata.csv``, with the columns of the Waterbirds release in their order."""

    img_id: int
    img_filename: str
    y: int
    split: int
    place: int
    place_filename: str


def drawn_birds(
    *,
    root: str = "data/drawn_birds",
    aligned: float = 0.95,
    train: int = 4000,
    val: int = 400,
    test: int = 1000,
    size: int = 64,
    seed: int = 0,
    masks: str | None = None,
) -> Examples:
    """Drawn landbirds and waterbirds on land or water, with masks. The first call draws them.

    The class shows in the lengths of neck, bill, legs and tail, and these overlap between the
    classes. The place is much easier to see. So a classifier trained for average accuracy relies on
    the place.

    Args:
        root: the folder that the set is written to, and that later calls read.
        aligned: share of each class's training images that are bias-aligned (landbirds on land,
            waterbirds on water), in [0, 1]. It is one half in the other splits, as in Waterbirds.
        train: number of training images, at least 4. Half of them are landbirds.
        val: number of validation images, at least 4.
        test: number of test images, at least 4.
        size: side of the images, in pixels, at least 16.
        seed: seed of the drawings, at least 0. The same settings write the same bytes if the
            versions of NumPy and OpenCV are the same.
        masks: a folder of masks, ``<class>/<image>.png``. By default the drawn masks are used.

    Returns:
        All splits, with masks, read by ``waterbirds``.

    Raises:
        ValueError: an argument is out of range, or ``root`` contains other files or a set with
            other settings.
    """
    if not 0 <= aligned <= 1 or min(train, val, test) < 4 or size < 16 or seed < 0:
        raise InputError(
            "drawn_birds needs aligned in [0, 1], at least 4 images per split, size >= 16 and seed "
            f">= 0; got aligned={aligned}, train={train}, val={val}, test={test}, size={size}, "
            f"seed={seed}"
        )
    folder = Path(root)
    settings = Settings(DRAWING, float(aligned), train, val, test, size, seed)
    if not folder.is_dir() or not any(folder.iterdir()):
        with made_whole(folder, shared=True) as draft:
            _write(draft, settings)
    _compare(folder, settings)
    return waterbirds(root=root, masks=masks or str(folder / "segmentations"))


def _write(folder: Path, settings: Settings) -> None:
    rows = list(_rows(settings))
    for name in {Path(row.img_filename).parent for _, row in rows}:
        (folder / name).mkdir()
        (folder / "segmentations" / name).mkdir(parents=True)
    for number, row in each(rows, "drawing birds", "bird"):
        # Numbered within its split, so that the test birds do not depend on the aligned share or
        # the number of training images.
        rng = np.random.default_rng([settings.seed, row.split, number])
        image, mask = draw_bird(rng, target=row.y, place=row.place, size=settings.size)
        path = folder / row.img_filename
        quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        path.write_bytes(cv2.imencode(".jpg", image[..., ::-1], quality)[1].tobytes())
        path = folder / "segmentations" / row.img_filename
        path.with_suffix(".png").write_bytes(cv2.imencode(".png", mask)[1].tobytes())
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(
            [MetadataRow._fields, *(row for _, row in rows)]
        )
    (folder / SETTINGS).write_text(json.dumps(asdict(settings), indent=2) + "\n", encoding="utf-8")


def _rows(settings: Settings) -> Iterator[tuple[int, MetadataRow]]:
    """Yield each image's number within its split, and its row of ``metadata.csv``."""
    labels = [
        (split, number, target, place)
        for split, (total, rate) in enumerate(_sizes(settings))
        for number, (target, place) in enumerate(_labels(total, rate))
    ]
    for img_id, (split, number, target, place) in enumerate(labels, start=1):
        kind = GROUPS.target_names[target]
        name = f"{target + 1:03d}.{kind}/{kind}_{SPLITS[split]}_{number:05d}.jpg"
        yield number, MetadataRow(img_id, name, target, split, place, GROUPS.bias_names[place])


def _sizes(settings: Settings) -> tuple[tuple[int, float], ...]:
    return (settings.train, settings.aligned), (settings.val, 0.5), (settings.test, 0.5)


def _labels(total: int, rate: float) -> Iterator[tuple[int, int]]:
    """Target and place of each image: equal classes, with a bias-aligned share ``rate``."""
    for target, count in enumerate((total - total // 2, total // 2)):
        own = round(count * rate)
        yield from [(target, target)] * own + [(target, 1 - target)] * (count - own)


def _compare(folder: Path, settings: Settings) -> None:
    path = folder / SETTINGS
    if not path.is_file():
        raise InputError(
            f"{folder} contains no drawn birds: they could not be written there, or it contains "
            "other files; set another root"
        )
    written = read_json(path, dict, entries={}, remedy="set another root, or delete the folder")
    wanted = asdict(settings)
    if written != wanted:
        differing = [name for name in wanted if written.get(name) != wanted[name]]
        written_text, wanted_text = (
            ", ".join(f"{name}={values.get(name)}" for name in differing)
            for values in (written, wanted)
        )
        raise InputError(
            f"{folder} was drawn with {written_text}, and these settings have {wanted_text}: set "
            "another root, or delete the folder"
        )
