"""The step ``pixels``: plain numbers of each picture, in its file and as a model sees it."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from debias.audits.files.pixels import central_part, detail, layout, light_and_colour, traces
from debias.audits.rows.objects import object_properties
from debias.audits.steps import Arrays, Audited, Step
from debias.data.pictures.geometry import ShorterSide
from debias.devices import usable_cores
from debias.progress import LongWork

#: Shorter side to which larger pictures are reduced for light, colour and layout.
REDUCED = 144
#: Pictures that a thread measures per task.
CHUNK = 32
#: Arrays of the step: names of the numbers of files, of the pictures that a model sees, and of
#: objects; and these numbers, one row per image. Of images that are not judged, the numbers of
#: files are NaN.
FILE_NAMES, FILE_NUMBERS = "file names", "file numbers"
SEEN_NAMES, SEEN_NUMBERS = "seen names", "seen numbers"

_Columns = Mapping[str, NDArray[np.float64]]
_Measured = tuple[_Columns, _Columns]


def file_numbers(pixels: NDArray[np.uint8]) -> dict[str, float]:
    """Numbers of a picture of any size, as it is in its file.

    Args:
        pixels: ``(H, W, 3)`` uint8, upright.
    """
    small = ShorterSide(REDUCED)(pixels) if min(pixels.shape[:2]) > REDUCED else pixels
    part = central_part(pixels)
    return light_and_colour(small) | layout(small) | detail(part) | traces(part)


def seen_numbers(pixels: NDArray[np.uint8]) -> dict[str, float]:
    """The same numbers of a picture that was resized and cropped, without traces of its file.

    Args:
        pixels: ``(S, S, 3)`` uint8.
    """
    return light_and_colour(pixels) | layout(pixels) | detail(pixels)


def _compute(audited: Audited) -> Arrays:
    """Numbers of all pictures as a model sees them; of the judged ones also as in their files."""
    store, rows, count = audited.examples.store, audited.rows.tolist(), len(audited.rows)
    judged = set(audited.judged.tolist())

    def measured(chunk: range) -> _Measured:
        """Numbers of all pictures of a chunk, and those in the files of the judged ones."""
        part = slice(chunk.start, chunk.stop)
        pictures = np.asarray(audited.pictures[part])
        seen = _columns([seen_numbers(one) for one in pictures])
        if audited.masks is not None:
            seen |= object_properties(pictures, audited.masks[part])
        known = [one for one in chunk if one in judged]
        return seen, _columns([file_numbers(store.read(rows[one])) for one in known])

    chunks = [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
    parts = []
    work = LongWork("measuring pictures", count, "picture")
    with work, ThreadPoolExecutor(usable_cores()) as pool:
        for part in pool.map(measured, chunks):
            parts.append(part)
            work.add(len(next(iter(part[0].values()))))
    seen, file = _joined([part[0] for part in parts]), _joined([part[1] for part in parts])
    table = np.full((count, len(file)), np.nan, np.float32)
    table[audited.judged] = np.stack(list(file.values()), axis=1)
    return {
        FILE_NAMES: np.array(list(file)),
        FILE_NUMBERS: table,
        SEEN_NAMES: np.array(list(seen)),
        SEEN_NUMBERS: np.stack(list(seen.values()), axis=1).astype(np.float32),
    }


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, NDArray[np.float64]]:
    return {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else ())}


def _joined(parts: Sequence[_Columns]) -> dict[str, NDArray[np.float64]]:
    filled = [part for part in parts if part]
    return {name: np.concatenate([part[name] for part in filled]) for name in filled[0]}


PIXELS = Step("pixels", (), _compute, lambda audited: (), lambda audited: None)
