"""Writes a folder of masks that the loaders read, and says what is in it."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

from debias.data.examples import Examples
from debias.data.masks.companions import mask_names
from debias.data.masks.grabcut import Pixels
from debias.data.masks.makers import Maker
from debias.data.pictures.images import read_image, read_mask
from debias.errors import InputError
from debias.files import write_atomically
from debias.json_files import read_json

SETTINGS = "debias_masks.json"
#: Shares of the picture below and from which a mask is of little use: recombination pastes no
#: smaller foreground, and takes no background from a picture with a larger one.
SMALL, LARGE = 0.005, 0.8


@dataclass(frozen=True)
class MaskRecord:
    """One mask: the path of its image, how it came ("made", "fallback", "kept"), its share of the
    picture in [0, 1].
    """

    row: int
    image: str
    how: str
    share: float

    @property
    def remark(self) -> str:
        """What is odd about it: "empty", "full", "small", "large", or nothing."""
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
    """Write each row's mask, ``<image without its suffix>.png``, 0 or 255, of the image's size.

    Each file appears whole or not at all, so an interrupted call is gone on with by the next.

    Args:
        examples: the data set.
        rows: of the images.
        make: makes each mask.
        folder: receives the masks.
        overwrite: whether to make existing masks again.
        threads: pictures worked on at a time.

    Returns:
        What each mask is, in the order of ``rows``.

    Raises:
        ValueError: a picture is damaged, two images would share a mask, or whatever ``make``
            refuses.
    """
    names = mask_names(examples.images)
    _check_shared([names[row] for row in rows])
    most = examples.max_pixels

    def write(row: int) -> MaskRecord:
        """Make and write the mask of one image, unless there is one to keep."""
        path, image = folder / names[row], examples.images[row]
        if path.is_file() and not overwrite:
            mask, how = read_image(path, max_pixels=most), "kept"
        else:
            made = make(row, read_image(examples.root / image, max_pixels=most))
            mask, how = made.mask, "made" if made.found else "fallback"
            write_atomically(path, cv2.imencode(".png", mask)[1].tobytes(), durable=False)
        return MaskRecord(row, image, how, float((mask >= 128).mean()))

    with ThreadPoolExecutor(threads) as pool:  # an error cancels what has not begun
        done = pool.map(write, rows)
        return list(tqdm(done, total=len(rows), desc="making masks", unit="mask", disable=None))


@contextmanager
def claimed(
    folder: Path, settings: Mapping[str, Any], *, overwrite: bool = False
) -> Iterator[None]:
    """A folder for masks, new or of the same settings; a record in it says the settings.

    While masks are being made again the record says so, and an interrupted folder of old and new
    ones is not taken for either.

    Raises:
        ValueError: it holds something else, or masks of other settings, and is not to be
            overwritten.
    """
    record, wanted = folder / SETTINGS, dict(settings)
    if record.is_file():
        before = read_json(record, dict, entries={}, remedy="set another out, or delete the folder")
        if before != wanted and not overwrite:
            raise InputError(
                f"{folder} holds masks made with {before}: set another out, or overwrite=true to "
                "replace"
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} holds something that was not made here: set another out")
    folder.mkdir(parents=True, exist_ok=True)
    _record(record, {**wanted, "overwriting": True} if overwrite else wanted)
    yield
    _record(record, wanted)


def _record(path: Path, settings: Mapping[str, Any]) -> None:
    write_atomically(path, (json.dumps(settings, indent=2) + "\n").encode())


def read_written(examples: Examples, row: int, folder: Path) -> tuple[Pixels, Pixels]:
    """The image of a row, and the mask that :func:`write_masks` wrote of it into the folder."""
    most = examples.max_pixels
    image = read_image(examples.root / examples.images[row], max_pixels=most)
    path = folder / mask_names([examples.images[row]])[0]
    return image, read_mask(path, image.shape[:2], max_pixels=most)


def write_picture(path: Path, image: Pixels) -> None:
    """Write an RGB image as PNG, whole or not at all."""
    encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
    write_atomically(path, encoded.tobytes(), durable=False)


def _check_shared(names: Sequence[str]) -> None:
    shared = next((name for name, count in Counter(names).items() if count > 1), None)
    if shared is not None:
        raise InputError(
            f"several images would share the mask {shared}: give them names that differ before "
            "the dot"
        )
