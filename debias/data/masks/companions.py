"""Masks and fills that belong to images by file name: ``a/1.png`` belongs to ``a/1.jpg``."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from debias.data.examples import Examples
from debias.data.listing import missing_files
from debias.errors import InputError


def with_companions(
    examples: Examples, *, masks: Path | str | None, fills: Path | str | None
) -> Examples:
    """Return the examples with the paths of the masks and fills in these folders.

    Args:
        examples: the data set.
        masks: folder of foreground masks, ``<image without its suffix>.png``. An image without a
            mask file has no mask. ``None`` keeps the masks of ``examples``.
        fills: folder of the pictures without their foreground, made by any inpainting program:
            ``<image without its suffix>.png`` or ``.jpg``, of the same size as the image. Every
            image needs one. With ``None``, debias fills in the foreground itself.

    Raises:
        ValueError: a folder does not exist, or has no file for any image.
    """
    if masks is not None:
        mask_root = _folder("masks", masks)
        examples = replace(examples, mask_root=mask_root, masks=_masks(mask_root, examples.images))
    if fills is not None:
        fill_root = _folder("fills", fills)
        examples = replace(examples, fill_root=fill_root, fills=_fills(fill_root, examples.images))
    return examples


def mask_names(images: Sequence[str]) -> tuple[str, ...]:
    """The mask path of each image: the same path with the suffix ``.png``."""
    return tuple(f"{_stem(image)}.png" for image in images)


def _stem(image: str) -> str:
    folder, _, name = image.rpartition("/")
    return f"{folder}/{Path(name).stem}" if folder else Path(name).stem


def _folder(kind: str, folder: Path | str) -> Path:
    if not Path(folder).is_dir():
        raise InputError(
            f"no folder of {kind} {folder}: correct the path, or leave data.{kind} out"
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
    # an image with neither keeps the first name, which check_examples then reports as missing
    jpeg = missing - others_missing
    return tuple(others[row] if row in jpeg else path for row, path in enumerate(paths))


def _check_any(kind: str, folder: Path, paths: Sequence[str], missing: set[int]) -> None:
    if paths and len(missing) == len(paths):
        raise InputError(
            f"{folder} has no {kind} of any image: expected files such as {folder / paths[0]}"
        )
