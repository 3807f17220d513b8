"""Writes a folder of masks in the layout that the loaders read, with a record of its settings."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from debias.data.examples import Examples
from debias.data.masks.companions import mask_names
from debias.data.masks.grabcut import Pixels
from debias.data.masks.makers import Maker
from debias.data.pictures.images import read_image, read_mask
from debias.errors import InputError
from debias.files import write_atomically
from debias.json_files import read_json
from debias.progress import each

SETTINGS = "debias_masks.json"
#: Shares of the picture outside which a mask is hardly useful. Recombination pastes no foreground
#: smaller than the first, and uses no background of a picture whose foreground reaches the second.
SMALL, LARGE = 0.005, 0.8


@dataclass(frozen=True)
class MaskRecord:
    """What :func:`write_masks` did for one image.

    Attributes:
        row: row of the image in the data set.
        image: path of the image.
        how: "made" by the maker, "fallback" (the maker found no object), or "kept" from before.
        share: share of the picture that the mask covers, in [0, 1].
    """

    row: int
    image: str
    how: str
    share: float

    @property
    def remark(self) -> str:
        """Empty if the share is usual, else one of "empty", "full", "small" and "large"."""
        if self.share in (0, 1):
            return "full" if self.share else "empty"
        if self.share < SMALL:
            return "small"
        return "large" if self.share >= LARGE else ""


def write_masks(
    examples: Examples,
    rows: Sequence[int],
    make: Maker,
    folder: Path,
    *,
    overwrite: bool = False,
    threads: int = 1,
) -> list[MaskRecord]:
    """Write the mask of each row as ``<image without its suffix>.png``, 0 or 255, in image size.

    Each file appears complete or not at all, and existing masks are kept. So call it again after an
    interruption to write the remaining masks.

    Args:
        examples: the data set.
        rows: rows of the images.
        make: makes the mask of one image.
        folder: the folder to write to.
        overwrite: whether to make existing masks again.
        threads: number of pictures to process at a time.

    Returns:
        One record per mask, in the order of ``rows``.

    Raises:
        ValueError: a picture is damaged, two images would share a mask file, or ``make`` raises it.
    """
    check_shared(examples, rows)
    names = mask_names(examples.images)
    store, most = examples.store, examples.max_pixels

    def write(row: int) -> MaskRecord:
        """Make and write the mask of one image, unless an existing mask is kept."""
        path, image = folder / names[row], examples.images[row]
        if path.is_file() and not overwrite:
            mask, how = read_image(path, max_pixels=most), "kept"
        else:
            made = make(row, store.read(row))
            mask, how = made.mask, "made" if made.found else "fallback"
            write_atomically(path, cv2.imencode(".png", mask)[1].tobytes(), durable=False)
        return MaskRecord(row, image, how, float((mask >= 128).mean()))

    with ThreadPoolExecutor(threads) as pool:  # an error cancels the tasks that have not begun
        records = pool.map(write, rows)
        return list(each(records, "making masks", "mask", total=len(rows)))


@contextmanager
def claimed(
    folder: Path, settings: Mapping[str, Any], *, overwrite: bool = False
) -> Iterator[None]:
    """Open a folder to write masks to, with a file that records the settings of these masks.

    The folder must be new, empty, or made with the same settings. While masks are overwritten, the
    record contains ``overwriting``. After an interruption the folder, with old and new masks, then
    matches no settings.

    Raises:
        ValueError: the folder contains files but no such record, or ``overwrite`` is false and the
            record has other settings.
    """
    record, wanted = folder / SETTINGS, dict(settings)
    if record.is_file():
        before = read_json(record, dict, entries={}, remedy="set another out, or delete the folder")
        if before != wanted and not overwrite:
            raise InputError(
                f"{folder} contains masks made with {before}: set another out, or overwrite=true "
                "to replace them"
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} contains files that debias did not make: set another out")
    folder.mkdir(parents=True, exist_ok=True)
    _record(record, {**wanted, "overwriting": True} if overwrite else wanted)
    yield
    _record(record, wanted)


def _record(path: Path, settings: Mapping[str, Any]) -> None:
    write_atomically(path, (json.dumps(settings, indent=2) + "\n").encode())


def read_written(examples: Examples, row: int, folder: Path) -> tuple[Pixels, Pixels]:
    """Read the image of a row, and the mask that :func:`write_masks` wrote for it."""
    image = examples.store.read(row)
    path = folder / mask_names([examples.images[row]])[0]
    return image, read_mask(path, image.shape[:2], max_pixels=examples.max_pixels)


def write_picture(path: Path, image: Pixels) -> None:
    """Write an RGB image as a PNG file that appears complete or not at all."""
    encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
    write_atomically(path, encoded.tobytes(), durable=False)


def check_shared(examples: Examples, rows: Sequence[int]) -> None:
    """Raise an error if :func:`write_masks` would write one file for two of these rows.

    Raises:
        ValueError: the paths of two images differ in the suffix only.
    """
    names = mask_names([examples.images[row] for row in rows])
    shared = next((name for name, count in Counter(names).items() if count > 1), None)
    if shared is not None:
        raise InputError(
            f"several images would share the mask {shared}: give them names that differ before the "
            "suffix"
        )
