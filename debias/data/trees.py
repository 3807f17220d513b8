"""A tree of image files to columns: the fields of the templates that its paths match."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from debias.csv_files import Columns
from debias.data.templates import Template
from debias.errors import InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
#: Folders of the root that are ignored. The file system makes this one at the root of a disk.
IGNORED = ("lost+found",)


class Tree(NamedTuple):
    """The images of a tree.

    Attributes:
        columns: one row per image that matches a template, sorted by path. The column ``path`` is
            its path below the root. The other columns are the fields; a field that the template of
            an image does not have is an empty cell.
        unmatched: paths of the images that match no template, sorted.
    """

    columns: Columns
    unmatched: list[str]


def read_tree(root: Path, templates: Sequence[Template], *, deeper: bool = False) -> Tree:
    """Match the images below a folder with templates; the first that matches an image counts.

    Hidden files and folders are ignored, and so are files that are not images. Links to folders are
    followed.

    Args:
        root: the folder.
        templates: what paths below the root may look like.
        deeper: whether folders deeper than any template are ignored. Otherwise they are an error,
            since their images would be left out.

    Raises:
        InputError: the root does not exist, has no image, or has a folder that cannot be read, or
            that is too deep.
    """
    if not root.is_dir():
        raise InputError(f"no folder {root}: correct data.root")
    expected = " or ".join(_shown(template.text) for template in templates)
    # one level deeper, so that a misplaced image is named
    depth = 1 + max(template.depth for template in templates)
    images = sorted(_images(root, depth, "" if deeper else expected))
    if not images:
        raise InputError(f"no image in {root}: expected {expected}")
    names = dict.fromkeys(name for template in templates for name in template.fields)
    cells: dict[str, list[str]] = {name: [] for name in names}
    paths, unmatched = [], []
    same: dict[str, str] = {}  # equal cells share one string
    for image in images:
        found = next(filter(None, (one.matcher.fullmatch(image) for one in templates)), None)
        if found is None:
            unmatched.append(image)
            continue
        paths.append(image)
        values = found.groupdict()
        for name, column in cells.items():
            cell = values.get(name, "")
            column.append(same.setdefault(cell, cell))
    return Tree(Columns(root, paths, {"path": paths, **cells}, "file"), unmatched)


def _shown(template: str) -> str:
    """A template as messages show it, as in ``<split>/<target>/<image>``."""
    folder, _, name = template.rpartition("/")
    text = f"{folder}/<image>" if folder and name == "*" else template
    return text.replace("{", "<").replace("}", ">")


def _images(root: Path, depth: int, expected: str) -> Iterator[str]:
    """Paths of the images; folders below ``depth`` are an error that names what is expected."""
    for place, folders, files in os.walk(root, followlinks=True, onerror=_refuse_unreadable):
        parts = Path(place).relative_to(root).parts
        below = [name for name in folders if _counts(parts, name)]
        real = [name for name in below if not Path(place, name).is_symlink()]
        if expected and len(parts) == depth and real and not Path(place).is_symlink():
            raise InputError(f"{place} contains folders at the wrong depth: expected {expected}")
        # a link to a parent folder would never end
        folders[:] = below if len(parts) < depth else []
        for name in files:
            if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith("."):
                yield "/".join((*parts, name))


def _counts(parts: Sequence[str], name: str) -> bool:
    return not (name.startswith(".") or (not parts and name in IGNORED))


def _refuse_unreadable(error: OSError) -> None:
    raise InputError(
        f"cannot read {error.filename} ({error.strerror}), and its images would be left out: allow "
        "reading it, or move it away"
    ) from error
