"""The image files of a data set: missing, superfluous and unreadable ones, their sizes, copies."""

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from debias.data.examples import SPLITS, Examples
from debias.data.trees.reading import IMAGE_SUFFIXES
from debias.errors import InputError
from debias.progress import each

#: Without ``deep``, the most images whose headers are read, and the most whose copies are found.
HEADERS, COPIES = 1000, 100_000


class Copies(NamedTuple):
    """Images with the same bytes.

    Attributes:
        images: their paths.
        splits: the splits that hold them.
    """

    images: tuple[str, ...]
    splits: tuple[str, ...]


def superfluous(examples: Examples) -> list[str]:
    """Paths of image files below the root that are no row, sorted. Masks and fills are left out."""
    others = (examples.mask_root, examples.masks), (examples.fill_root, examples.fills)
    apart = [(_real(root), paths) for root, paths in others if root is not None]
    own = _real(examples.root)
    beside = (path for root, paths in apart if root == own for path in paths)
    known = set(map(os.path.normpath, (*examples.images, *beside)))  # a table may have ./1.png
    return sorted(path for path in _images(examples.root, dict(apart)) if path not in known)


def _real(root: Path) -> str:
    return os.path.realpath(root)


def _images(root: Path, apart: Collection[str]) -> Iterator[str]:
    for place, folders, files in os.walk(root):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(os.path.join(place, name)) not in apart
        ]
        start = Path(place).relative_to(root).parts
        for name in files:
            if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith("."):
                yield "/".join((*start, name))


def unreadable(examples: Examples) -> list[str]:
    """What is wrong with each image that cannot be decoded. All images are decoded, in threads."""

    def fault(row: int) -> str:
        """Message of the error of one image; empty if it can be decoded."""
        try:
            examples.store.read(row)
        except InputError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        faults = pool.map(fault, range(len(examples)))
        return [one for one in each(faults, "decoding", "picture", total=len(examples)) if one]


def shapes(examples: Examples, rows: Sequence[int]) -> Counter[str]:
    """How many of some images have which size and mode, from their headers.

    Example of a key: ``"178 x 218 RGB"``. An image without a valid header is "unreadable".
    """
    return Counter(_shape(f"{examples.root}/{examples.images[row]}") for row in rows)


def _shape(path: str) -> str:
    try:
        with Image.open(path) as image:
            return f"{image.width} x {image.height} {image.mode}"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return "unreadable"


def copies(examples: Examples) -> list[Copies]:
    """Find images with the same bytes. Only files of the same size are read."""
    by_size: dict[int, list[int]] = {}
    for row, path in enumerate(examples.images):
        by_size.setdefault(os.stat(f"{examples.root}/{path}").st_size, []).append(row)
    same = [rows for rows in by_size.values() if len(rows) > 1]
    by_content: dict[tuple[int, bytes], list[int]] = {}
    candidates = [row for rows in same for row in rows]
    for row in each(candidates, "looking for copies", "picture"):
        content = (examples.root / examples.images[row]).read_bytes()
        key = len(content), hashlib.sha256(content).digest()
        by_content.setdefault(key, []).append(row)
    return [_copies(examples, rows) for rows in by_content.values() if len(rows) > 1]


def _copies(examples: Examples, rows: Sequence[int]) -> Copies:
    found = {int(examples.split[row]) for row in rows}
    return Copies(
        tuple(examples.images[row] for row in rows),
        tuple(split for position, split in enumerate(SPLITS) if position in found),
    )
