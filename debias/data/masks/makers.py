"""Makers of masks: from boxes or keypoints by GrabCut, or from existing masks."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from debias.csv_files import read_csv
from debias.data.examples import Examples
from debias.data.listing import missing_files
from debias.data.masks.companions import mask_names
from debias.data.masks.grabcut import Made, Pixels, Places, mask_from_boxes, mask_from_points
from debias.data.masks.hints import Hints, inside, needed, read_boxes, read_points
from debias.data.pictures.images import read_mask
from debias.errors import InputError

#: Makes the mask of one row from its ``(H, W, 3)`` uint8 RGB picture.
Maker = Callable[[int, Pixels], Made]


def boxes(examples: Examples, rows: Sequence[int], *, source: str) -> Maker:
    """Cut the objects out of their bounding boxes, by GrabCut.

    Args:
        examples: the data set.
        rows: rows of the images that need a mask.
        source: a CSV file ``path,x,y,width,height`` in pixels, with one row per box. x and y are
            those of the upper left corner. Or CUB's ``bounding_boxes.txt``. An image may have
            several boxes, one per object.

    Raises:
        ValueError: an image has no box, or a cell is not valid. The maker raises it if a box lies
            outside its image.
    """
    hints = read_boxes(Path(source))
    return _hinted(examples, rows, hints, mask_from_boxes, kind="box", source=Path(source))


def keypoints(examples: Examples, rows: Sequence[int], *, source: str) -> Maker:
    """Cut out the object that keypoints lie on, by GrabCut.

    Args:
        examples: the data set.
        rows: rows of the images that need a mask.
        source: a CSV file ``path,x,y`` in pixels, one row per point; or CUB's
            ``parts/part_locs.txt``.

    Raises:
        ValueError: an image has no keypoint, or a cell is not valid. The maker raises it if a point
            lies outside its image.
    """
    hints = read_points(Path(source))
    return _hinted(examples, rows, hints, mask_from_points, kind="keypoint", source=Path(source))


def existing(
    examples: Examples, rows: Sequence[int], *, source: str, threshold: int = 128
) -> Maker:
    """Check existing masks, and convert them to masks of 0 and 255.

    Args:
        examples: the data set.
        rows: rows of the images that need a mask.
        source: a folder of masks, ``<image without its suffix>.png``; or a CSV file ``path,mask``
            with mask paths relative to that file.
        threshold: least brightness of the foreground, 1 to 255. A mask of zeros and ones counts as
            0 and 255. With 1, all pixels but 0 are foreground, as in a mask of class numbers.

    Raises:
        ValueError: ``threshold`` is not in 1 to 255, or an image has no mask. The maker raises it
            if a mask is damaged, has another size than its image, or has several values that look
            like class numbers.
    """
    if not 1 <= threshold <= 255:
        raise InputError(f"threshold must be a brightness from 1 to 255; got threshold={threshold}")
    place = Path(source)
    paths = _listed(place) if place.is_file() else _in_folder(place, examples.images)
    images = [examples.images[row] for row in rows]
    needed(dict.fromkeys(paths, np.empty(0)), images, kind="mask", source=place)

    def make(row: int, image: Pixels) -> Made:
        """The existing mask of one image, as 0 and 255."""
        path, most = paths[examples.images[row]], examples.max_pixels
        mask = read_mask(path, image.shape[:2], threshold=threshold, max_pixels=most)
        return Made((mask >= threshold) * np.uint8(255), found=True)

    return make


def _listed(source: Path) -> dict[str, Path]:
    cells = read_csv(source, ("path", "mask")).cells
    return {
        path: source.parent / mask
        for path, mask in zip(cells["path"], cells["mask"], strict=True)
        if mask
    }


def _in_folder(folder: Path, images: Sequence[str]) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f"no folder and no CSV file {folder}: correct source")
    names = mask_names(images)
    missing = set(missing_files(folder, names))
    return {image: folder / names[row] for row, image in enumerate(images) if row not in missing}


def _hinted(
    examples: Examples,
    rows: Sequence[int],
    hints: Hints,
    cut: Callable[[Pixels, Places], Made],
    *,
    kind: str,
    source: Path,
) -> Maker:
    needed(hints, [examples.images[row] for row in rows], kind=kind, source=source)

    def make(row: int, image: Pixels) -> Made:
        """The mask of one image, from its boxes or points."""
        name = examples.images[row]
        return cut(image, inside(hints[name], image.shape[:2], image=name, source=source))

    return make
