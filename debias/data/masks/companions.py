"""Files that belong to images by name: the mask, or the fill, of ``a/1.jpg`` is ``a/1.png``."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from debias.data.examples import Examples
from debias.data.listing import missing_files
from debias.errors import InputError


def with_companions(
    examples: Examples, *, masks: Path | str | None, fills: Path | str | None
) -> Examples:
    """The examples with a folder of masks, and one of fills, beside them.

    Args:
        examples: the rows.
        masks: folder of foreground masks, ``<image without its suffix>.png``; an image whose mask
            is not there has none. ``None`` leaves the masks that the examples have.
        fills: folder of the pictures without their foreground, made by any inpainting,
            ``<image without its suffix>.png``, else ``.jpg``, each of its image's size. Every image
            needs one. ``None``: filled in here.

    Raises:
        ValueError: a folder is not there, or fits no image.
    """
    if masks is not None:
        mask_root = _folder("masks", masks)
        examples = replace(examples, mask_root=mask_root, masks=_masks(mask_root, examples.images))
    if fills is not None:
        fill_root = _folder("fills", fills)
        examples = replace(examples, fill_root=fill_root, fills=_fills(fill_root, examples.images))
    return examples


def mask_names(images: Sequence[str]) -> tuple[str, ...]:
    """N paths of the masks of N images."""
    return tuple(f"{_stem(image)}.png" for image in images)


def _stem(image: str) -> str:
    folder, _, name = image.rpartition("/")
    return f"{folder}/{Path(name).stem}" if folder else Path(name).stem


def _folder(kind: str, folder: Path | str) -> Path:
    if not Path(folder).is_dir():
        raise InputError(
            f"no folder of {kind} {folder}: correct the path, or leave {kind} out to train without "
            "them"
        )
    return Path(folder)


def _masks(folder: Path, images: Sequence[str]) -> tuple[str, ...]:
    paths = mask_names(images)
    missing = set(missing_files(folder, paths))
    _check_any("mask", folder, paths, missing)
    return tuple("" if row in missing else path for row, path in enumerate(paths))


def _fills(folder: Path, images: Sequence[str]) -> tuple[str, ...]:
    paths, others = (
        tuple(f"{_stem(image)}{suffix}" for image in images) for suffix in (".png", ".jpg")
    )
    missing, others_missing = set(missing_files(folder, paths)), set(missing_files(folder, others))
    _check_any("fill", folder, paths, missing & others_missing)
    # one that is neither keeps its first name, under which the check of the data set misses it
    jpeg = missing - others_missing
    return tuple(others[row] if row in jpeg else path for row, path in enumerate(paths))


def _check_any(kind: str, folder: Path, paths: Sequence[str], missing: set[int]) -> None:
    if paths and len(missing) == len(paths):
        raise InputError(
            f"{folder} holds the {kind} of no image: expected files like {folder / paths[0]}"
        )
