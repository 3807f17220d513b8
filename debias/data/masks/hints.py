"""Hints of where objects are: boxes and points, read from a CSV file or from the files of CUB."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from debias.csv_files import Columns, read_csv, read_words
from debias.data.listing import first_file
from debias.errors import InputError, shown

BOX = ("x", "y", "width", "height")
POINT = ("x", "y")
#: A box may leave the picture by this many pixels, since some boxes are rounded outwards.
TOLERANCE = 1.0

#: For each image, ``(K, 2)`` points or ``(K, 4)`` boxes, in pixels.
Hints = dict[str, NDArray[np.float64]]


def read_boxes(source: Path) -> Hints:
    """Read boxes from a CSV file ``path,x,y,width,height``, or from CUB's ``bounding_boxes.txt``.

    Raises:
        ValueError: the file or a column does not exist, a cell is not a number, or a width or
            height is not positive.
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
    """Read points, one per row, from a CSV file ``path,x,y`` or from CUB's file of bird parts.

    Of the parts, only the visible ones are read.

    Raises:
        ValueError: the file or a column does not exist, or a cell is not a number.
    """
    if source.suffix != ".txt":
        return _gathered(read_csv(source, ("path", *POINT)), POINT)
    header = ("image", "part", *POINT, "visible")
    columns = _cub(source, header)
    visible = [row for row, cell in enumerate(columns.cells["visible"]) if cell == "1"]
    return _gathered(columns.take(visible), POINT)


def needed(hints: Hints, images: Sequence[str], *, kind: str, source: Path) -> None:
    """Check that every image has a hint.

    Args:
        hints: the hints by image path.
        images: the paths that need one.
        kind: what the hints are, such as "box", for messages.
        source: the file of the hints, for messages.

    Raises:
        ValueError: an image has no hint; the message names the first such images.
    """
    absent = [image for image in images if image not in hints]
    if absent:
        raise InputError(
            f"{source} has no {kind} for {len(absent)} of {len(images)} images: "
            f"{shown(absent)}. Add them with the same paths as in the data set, or choose other "
            "splits"
        )


def inside(
    places: NDArray[np.float64], size: tuple[int, ...], *, image: str, source: Path
) -> NDArray[np.float64]:
    """Cut boxes or points to their image if they leave it by at most one pixel.

    Args:
        places: ``(K, 4)`` boxes, or ``(K, 2)`` points.
        size: height and width of the image.
        image: path of the image, for messages.
        source: the file of the boxes or points, for messages.

    Raises:
        ValueError: a box or point leaves the image by more than one pixel.
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
    """Read a table of CUB, and add a column ``path`` with the path of each image number.

    The paths come from ``images.txt`` in the same folder or its parent.
    """
    listing = first_file(
        (folder / "images.txt" for folder in source.parents[:2]),
        absent=f"no images.txt beside or above {source}: put it there, because it has the path of "
        "each image number",
    )
    names = read_words(listing, ("image", "path")).cells
    paths = dict(zip(names["image"], names["path"], strict=True))
    columns = read_words(source, header)
    numbers = columns.cells["image"]
    unknown = next((row for row, number in enumerate(numbers) if number not in paths), None)
    if unknown is not None:
        raise columns.error(unknown, "image", f"which {listing} does not have: correct the number")
    return Columns(
        source, columns.lines, {**columns.cells, "path": [paths[number] for number in numbers]}
    )


def _gathered(columns: Columns, names: Sequence[str]) -> Hints:
    values = np.stack([columns.numbers(name) for name in names], axis=1)
    rows: dict[str, list[int]] = {}
    for row, path in enumerate(columns.cells["path"]):
        rows.setdefault(path, []).append(row)
    return {path: values[numbers] for path, numbers in rows.items()}
