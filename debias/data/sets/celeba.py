"""CelebA: faces with 40 attributes. You choose the targets and the bias attribute among them."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from debias.csv_files import Columns, read_csv, read_text, read_words
from debias.data.examples import Examples
from debias.data.listing import first_file
from debias.data.masks.companions import with_companions
from debias.data.pictures.images import MAX_PIXELS
from debias.errors import InputError
from debias.types import Groups

PRESENCE = {"-1": 0, "0": 0, "1": 1}
# Blond men are rare, so the aligned groups are blond women, and men who are not blond.
ALIGNED = {("Blond_Hair", "Male"): ((0, 1), (1, 0))}


def celeba(
    *,
    root: str,
    targets: tuple[str, ...] = ("Blond_Hair",),
    bias: str = "Male",
    masks: str | None = None,
    fills: str | None = None,
    max_pixels: int = MAX_PIXELS,
    follow_links: bool = False,
) -> Examples:
    """CelebA in the layout of its release (``list_attr_celeba.txt``), or with its tables as CSV.

    Source: Liu et al., "Deep Learning Face Attributes in the Wild", ICCV 2015; the pair Blond_Hair
    and Male is that of Sagawa et al., ICLR 2020.

    Args:
        root: the folder with ``img_align_celeba/``, ``list_attr_celeba`` and
            ``list_eval_partition`` (.txt or .csv).
        targets: names of the attributes to predict. One name gives two classes. Several names make
            the targets multi-label.
        bias: name of the bias attribute.
        masks: a folder of foreground masks, ``<image without its suffix>.png``. By default there
            are no masks.
        fills: a folder of backgrounds that another program filled in, such as LaMa. They are named
            like the masks, ``.png`` or ``.jpg``.
        max_pixels: the most pixels that an image, mask or fill may have.
        follow_links: whether links may lead out of the folders of images, masks and fills.

    Returns:
        All splits. An attribute is 1 if present and 0 if absent. Aligned groups are defined only
        for the single target Blond_Hair with the bias Male.

    Raises:
        ValueError: a file, an attribute, or the folder of masks or fills does not exist;
            ``targets`` is empty; an attribute is named twice; a cell is not valid; or the partition
            lacks an image of the attribute table.
    """
    names = [*targets, bias]
    if not targets or len(set(names)) < len(names):
        raise InputError(
            f"celeba needs at least one target, and no attribute twice; got "
            f"targets={list(targets)}, bias={bias!r}"
        )
    attributes = _attributes(Path(root), names)
    columns = [attributes.choices(name, PRESENCE) for name in names]
    examples = Examples(
        root=_image_folder(Path(root)),
        images=attributes.paths("image_id"),
        target=torch.stack(columns[:-1], dim=1) if len(targets) > 1 else columns[0],
        bias=columns[-1],
        split=_split(Path(root), attributes),
        groups=_groups(targets, bias),
        source=attributes.source,
        max_pixels=max_pixels,
        follow_links=follow_links,
    )
    return with_companions(examples, masks=masks, fills=fills)


def _groups(targets: Sequence[str], bias: str) -> Groups:
    target_names = tuple(name for target in targets for name in (f"not {target}", target))
    aligned = ALIGNED.get((targets[0], bias), ()) if len(targets) == 1 else ()
    return Groups(target_names, (f"not {bias}", bias), aligned, multi_label=len(targets) > 1)


def _attributes(root: Path, names: list[str]) -> Columns:
    source = _table(root, "list_attr_celeba")
    if source.suffix == ".csv":
        return read_csv(source, ["image_id", *names])
    header = ["image_id", *" ".join(read_text(source).splitlines()[1:2]).split()]
    return read_words(source, header, ["image_id", *names], skip=2)


def _split(root: Path, attributes: Columns) -> Tensor:
    source = _table(root, "list_eval_partition")
    header = ["image_id", "partition"]
    partition = (read_csv if source.suffix == ".csv" else read_words)(source, header)
    splits = partition.splits("partition")
    images, listed = attributes.cells["image_id"], partition.cells["image_id"]
    if images == listed:
        return splits
    rows = {image: row for row, image in enumerate(listed)}
    absent = next((row for row, image in enumerate(images) if image not in rows), None)
    if absent is not None:
        raise attributes.error(
            absent, "image_id", f"which is not in {partition.source}: add a row for it there"
        )
    return splits[torch.tensor([rows[image] for image in images], dtype=torch.int64)]


def _table(root: Path, name: str) -> Path:
    return first_file(
        (root / f"{name}.txt", root / f"{name}.csv"),
        absent=f"no {name}.txt or {name}.csv in {root}: set root to the folder with the tables of "
        "CelebA",
    )


def _image_folder(root: Path) -> Path:
    folder = root / "img_align_celeba"
    if not folder.is_dir():
        raise InputError(f"no folder {folder}: unpack img_align_celeba.zip there")
    return folder / folder.name if (folder / folder.name).is_dir() else folder
