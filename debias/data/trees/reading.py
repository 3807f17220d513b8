"""A tree of image files to columns: the fields of the templates that its paths match."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from debias.csv_files import Columns
from debias.data.listing import files_below
from debias.data.trees.templates import Template
from debias.errors import InputError

_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")
IMAGE_SUFFIXES = (*_JPEG, ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
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


def read_tree(root: Path, templates: Sequence[Template], *, others: bool = False) -> Tree:
    """Match the images below a folder with templates; the first that matches an image counts.

    Hidden files and folders are ignored, and so are files that are not images. Links to folders are
    followed.

    Args:
        root: the folder.
        templates: what paths below the root may look like.
        others: whether there may be folders that no template leads to. They are not entered.
            Otherwise each image is listed, and a folder that is too deep is an error.

    Raises:
        InputError: the root does not exist, has no image, or has a folder that cannot be read, or
            that is too deep.
    """
    if not root.is_dir():
        raise InputError(f"no folder {root}: correct data.root")
    expected = " or ".join(_shown(template.text) for template in templates)
    images = sorted(_led_to(root, templates) if others else _images(root, templates, expected))
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


def pictures_below(root: Path) -> list[Path]:
    """The image files at any depth below a folder, in order of path, without hidden ones."""
    return [path for path in files_below(root) if _is_image(path.name)]


def _shown(template: str) -> str:
    """A template as messages show it, as in ``<split>/<target>/<image>``."""
    folder, _, name = template.rpartition("/")
    text = f"{folder}/<image>" if folder and name == "*" else template
    return text.replace("{", "<").replace("}", ">")


def _images(root: Path, templates: Sequence[Template], expected: str) -> Iterator[str]:
    """Paths of all images."""
    # one level deeper than an image may be, so that a misplaced one is named
    depth = 1 + max(len(template.folders) for template in templates)
    for place, parts, folders, files in _walk(root):
        real = [name for name in folders if not Path(place, name).is_symlink()]
        if len(parts) == depth and real and not Path(place).is_symlink():
            raise InputError(f"{place} contains folders at the wrong depth: expected {expected}")
        # a link to a parent folder would never end
        folders[:] = folders if len(parts) < depth else []
        yield from files


def _led_to(root: Path, templates: Sequence[Template]) -> Iterator[str]:
    """Paths of the images in folders that a template leads to."""
    for _, parts, folders, files in _walk(root):
        folders[:] = [
            name for name in folders if any(one.leads_to((*parts, name)) for one in templates)
        ]
        yield from files


def _walk(root: Path) -> Iterator[tuple[str, tuple[str, ...], list[str], list[str]]]:
    """Each folder, its parts below the root, the names of its folders, and paths of its images."""
    for place, folders, files in os.walk(root, followlinks=True, onerror=_refuse_unreadable):
        parts = Path(place).relative_to(root).parts
        folders[:] = [name for name in folders if _counts(parts, name)]
        images = [name for name in files if _is_image(name)]
        yield place, parts, folders, ["/".join((*parts, name)) for name in images]


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def _counts(parts: Sequence[str], name: str) -> bool:
    return not (name.startswith(".") or (not parts and name in IGNORED))


def _refuse_unreadable(error: OSError) -> None:
    raise InputError(
        f"cannot read {error.filename} ({error.strerror}), and its images would be left out: allow "
        "reading it, or move it away"
    ) from error
