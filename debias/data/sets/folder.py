"""Your own data, sorted into a tree of folders."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from debias.csv_files import SPLIT_POSITIONS
from debias.data.examples import Examples
from debias.data.masks.companions import with_companions
from debias.data.pictures.images import MAX_PIXELS
from debias.errors import InputError
from debias.types import Groups

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
#: Folders beside the splits that are ignored. The file system makes this one at the root of a disk.
IGNORED = ("lost+found",)
LAYOUTS = "<split>/<target>/<bias>/<image> or <split>/<target>/<image>"


def folder(
    *,
    root: str,
    masks: str | None = None,
    fills: str | None = None,
    max_pixels: int = MAX_PIXELS,
    follow_links: bool = False,
) -> Examples:
    """Images in a tree of folders: ``<split>/<target>/<bias>/<image>``.

    If the bias is unknown, an image is in ``<split>/<target>/<image>``.

    Args:
        root: the folder of the tree. A split is train, val (or valid, validation) or test. Classes
            and bias values are numbered in the order of their sorted folder names. Hidden files and
            files that are not images are ignored. Another folder beside the splits is an error. A
            class or bias value called nan is also an error.
        masks: a folder of foreground masks, ``<image without its suffix>.png``. By default there
            are no masks.
        fills: a folder of backgrounds that another program filled in, such as LaMa. They are named
            like the masks, ``.png`` or ``.jpg``.
        max_pixels: the most pixels that an image, mask or fill may have.
        follow_links: whether links may lead out of the folders of images, masks and fills.

    Returns:
        All splits, in order of path.

    Raises:
        ValueError: the folder does not exist or has no image, a folder in it is not a split, an
            image is at another depth, a class or bias value is called nan, or the folder of masks
            or fills does not exist or fits no image.
    """
    if not Path(root).is_dir():
        raise InputError(f"no folder {root}: correct data.root")
    images = sorted(_images(Path(root)))
    if not images:
        raise InputError(f"no image in {root}: expected {LAYOUTS}")
    labels = [_labels(Path(root), image) for image in images]
    _refuse_others(Path(root))
    targets, target_names = _numbered([target for _, target, _ in labels])
    biases, bias_names = _numbered([bias for _, _, bias in labels])
    examples = Examples(
        root=Path(root),
        images=tuple(images),
        target=targets,
        bias=biases,
        split=torch.tensor([split for split, _, _ in labels]),
        groups=Groups(target_names, bias_names or ("unknown",)),
        source=Path(root),
        max_pixels=max_pixels,
        follow_links=follow_links,
    )
    return with_companions(examples, masks=masks, fills=fills)


def _images(root: Path, deepest: int = 4) -> Iterator[str]:
    for place, folders, files in os.walk(
        root, followlinks=True, onerror=partial(_refuse_unreadable, root)
    ):
        parts = Path(place).relative_to(root).parts
        below = [
            name for name in folders if not (name.startswith(".") or Path(place, name).is_symlink())
        ]
        if len(parts) == deepest and below and not Path(place).is_symlink():
            raise InputError(f"{place} contains folders at the wrong depth: expected {LAYOUTS}")
        # A link to a parent folder would never end; an image below the deepest level is an error
        # anyway.
        folders[:] = [name for name in folders if not name.startswith(".") and len(parts) < deepest]
        for name in files:
            if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith("."):
                yield "/".join((*parts, name))


def _refuse_others(root: Path) -> None:
    """Refuse another folder beside the splits, because its pictures would be left out."""
    for place in sorted(path for path in root.iterdir() if path.is_dir()):
        if (
            place.name not in SPLIT_POSITIONS
            and place.name not in IGNORED
            and not place.name.startswith(".")
        ):
            raise InputError(
                f"{place} is not a split: name it train, val or test, or move it out of {root}"
            )


def _refuse_unreadable(root: Path, error: OSError) -> None:
    first = Path(error.filename).relative_to(root).parts[:1]
    if first and first[0] not in SPLIT_POSITIONS:
        return  # not in a split, such as the folder lost+found of a disk
    raise InputError(
        f"cannot read {error.filename} ({error.strerror}), and its images would be left out: allow "
        "reading it, or move it away"
    ) from error


def _labels(root: Path, image: str) -> tuple[int, str, str]:
    split, *classes, _ = ("", *image.split("/")) if "/" not in image else image.split("/")
    if len(classes) not in (1, 2):
        raise InputError(f"{root / image} is at the wrong depth: expected {LAYOUTS}")
    if absent := [name for name in classes if name in ("nan", "NaN")]:
        raise InputError(
            f"{root / image} is in a folder called {absent[0]!r}, which means a missing label: "
            "rename the folder, or move its images"
        )
    if split not in SPLIT_POSITIONS:
        raise InputError(
            f"{root / split} is not a split: name the folder train, val or test (for {image})"
        )
    return SPLIT_POSITIONS[split], classes[0], classes[1] if len(classes) == 2 else ""


def _numbered(names: Sequence[str]) -> tuple[Tensor, tuple[str, ...]]:
    ordered = sorted(set(names) - {""})
    numbers = {"": -1} | {name: number for number, name in enumerate(ordered)}
    return torch.tensor([numbers[name] for name in names]), tuple(ordered)
