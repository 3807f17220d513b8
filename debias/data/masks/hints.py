"""Boxes and points that say where objects are, from a CSV file or from CUB's own tables."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from debias.csv_files import Columns, read_csv, read_words
from debias.data.listing import first_file
from debias.errors import InputError, shown

BOX = ("x", "y", "width", "height")
POINT = ("x", "y")
#: Boxes that were rounded outwards may leave the picture by so many pixels.
TOLERANCE = 1.0

#: For each image, ``(K, 2)`` points or ``(K, 4)`` boxes, in pixels.
Hints = dict[str, NDArray[np.float64]]


def read_boxes(source: Path) -> Hints:
    """The boxes of the images, from columns ``path,x,y,width,height`` or CUB's own file.

    Raises:
        ValueError: no such file or column, or a cell that is no number, or no positive width or
            height.
    """
    if source.suffix == ".txt":
        columns = _cub(source, ("image", *BOX))
    else:
        columns = read_csv(source, ("path", *BOX))
    hints = _gathered(columns, BOX)
    for name in ("width", "height"):
        row = next((row for row, cell in enumerate(columns.cells[name]) if float(cell) <= 0), None)
        if row is not None:
            raise columns.error(row, name, "but must be positive")
    return hints


def read_points(source: Path) -> Hints:
    """The points of the images, one a row: columns ``path,x,y``, or CUB's visible parts.

    Raises:
        ValueError: no such file or column, or a cell that is no number.
    """
    if source.suffix != ".txt":
        return _gathered(read_csv(source, ("path", *POINT)), POINT)
    header = ("image", "part", *POINT, "visible")
    columns = _cub(source, header)
    visible = [row for row, cell in enumerate(columns.cells["visible"]) if cell == "1"]
    return _gathered(columns.take(visible), POINT)


def needed(hints: Hints, images: Sequence[str], *, kind: str, source: Path) -> None:
    """Refuse hints that some image lacks.

    Raises:
        ValueError: naming the first of them.
    """
    absent = [image for image in images if image not in hints]
    if absent:
        raise InputError(
            f"{source} has no {kind} for {len(absent)} of {len(images)} images: "
            f"{shown(absent)}. Add their rows, with paths as the data set names "
            "them, or choose other splits"
        )


def inside(
    places: NDArray[np.float64], size: tuple[int, ...], *, image: str, source: Path
) -> NDArray[np.float64]:
    """Boxes or points of one image, cut to it where they leave it by a pixel.

    Args:
        places: ``(K, 4)`` boxes, or ``(K, 2)`` points.
        size: height and width of the image.
        image: its path, for messages.
        source: the file, for messages.

    Raises:
        ValueError: one lies farther outside.
    """
    limit = np.array((size[1], size[0]), dtype=np.float64)
    first = places[:, :2]
    last = first + places[:, 2:] if places.shape[1] == len(BOX) else first
    outside = ((first < -TOLERANCE) | (last > limit + TOLERANCE)).any(axis=1)
    if outside.any():
        values = ", ".join(f"{value:g}" for value in places[np.argmax(outside)])
        raise InputError(
            f"{source}: ({values}) of {image} lies outside the picture, which has width x height "
            f"{size[1]}x{size[0]}: correct the row, or scale it as the picture was scaled"
        )
    first, last = first.clip(0, limit - 1), last.clip(0, limit)
    return np.hstack([first, last - first]) if places.shape[1] == len(BOX) else first


def _cub(source: Path, header: Sequence[str]) -> Columns:
    """A table of CUB, whose images are numbers, with a column ``path`` from the ``images.txt``
    beside or above it.
    """
    listing = first_file(
        (folder / "images.txt" for folder in source.parents[:2]),
        absent=f"no images.txt beside or above {source}: it says which image each number is; put "
        "it there",
    )
    names = read_words(listing, ("image", "path")).cells
    paths = dict(zip(names["image"], names["path"], strict=True))
    columns = read_words(source, header)
    numbers = columns.cells["image"]
    unknown = next((row for row, number in enumerate(numbers) if number not in paths), None)
    if unknown is not None:
        raise columns.error(unknown, "image", f"which {listing} does not name")
    return Columns(
        source, columns.lines, {**columns.cells, "path": [paths[number] for number in numbers]}
    )


def _gathered(columns: Columns, names: Sequence[str]) -> Hints:
    values = np.stack([columns.numbers(name) for name in names], axis=1)
    rows: dict[str, list[int]] = {}
    for row, path in enumerate(columns.cells["path"]):
        rows.setdefault(path, []).append(row)
    return {path: values[numbers] for path, numbers in rows.items()}
