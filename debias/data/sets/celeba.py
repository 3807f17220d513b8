"""CelebA: faces with 40 attributes. You choose the targets and the biases among them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from debias.csv_files import Columns, read_csv, read_text, read_words
from debias.data.examples import SPLITS, Examples
from debias.data.listing import first_file
from debias.data.masks.companions import with_companions
from debias.data.pictures.images import MAX_PIXELS
from debias.data.tables.draws import random_key
from debias.data.tables.labels import Labels, bias_columns
from debias.data.tables.rows import finish_rows
from debias.data.tables.rules import GIVEN_SPLITS, SplitRules
from debias.data.tables.subsets import TableRows
from debias.errors import InputError, check_one_of
from debias.types import Attribute, Groups

PRESENCE = {"-1": 0, "0": 0, "1": 1}
# Blond men are rare, so the aligned groups are blond women, and men who are not blond.
ALIGNED: dict[tuple[str, str], tuple[tuple[int, int], ...]] = {
    ("Blond_Hair", "Male"): ((0, 1), (1, 0))
}
SETTINGS = (None, "balanced_blond")
#: Training images of women who are not blond that the setting balanced_blond keeps.
NOT_BLOND_WOMEN = 2000


def celeba(
    *,
    root: str,
    targets: tuple[str, ...] = ("Blond_Hair",),
    bias: str | list[str] = "Male",
    setting: str | None = None,
    masks: str | None = None,
    fills: str | None = None,
    max_pixels: int = MAX_PIXELS,
    follow_links: bool = False,
    rules: SplitRules = GIVEN_SPLITS,
) -> Examples:
    """CelebA in the layout of its release (``list_attr_celeba.txt``), or with its tables as CSV.

    Source: Liu et al., "Deep Learning Face Attributes in the Wild", ICCV 2015; the pair Blond_Hair
    and Male is that of Sagawa et al., ICLR 2020. The setting balanced_blond is that of the code of
    Hong and Yang, "Unbiased Classification through Bias-Contrastive and Bias-Balanced Learning",
    NeurIPS 2021. FLAC and VB-Mitigator use it, too.

    Args:
        root: the folder with ``img_align_celeba/``, ``list_attr_celeba`` and
            ``list_eval_partition`` (.txt or .csv).
        targets: names of the attributes to predict. One name gives two classes. Several names make
            the targets multi-label.
        bias: name of the bias attribute. With several names, each combination of them is one bias
            value.
        setting: "balanced_blond" keeps 2,000 random training images of women who are not blond, and
            then four fifths of all training images. ``split_seed`` draws others.
        masks: a folder of foreground masks, ``<image without its suffix>.png``. By default there
            are no masks.
        fills: a folder of backgrounds that another program filled in, such as LaMa. They are named
            like the masks, ``.png`` or ``.jpg``.
        max_pixels: the most pixels that an image, mask or fill may have.
        follow_links: whether links may lead out of the folders of images, masks and fills.
        rules: missing pictures and drawn splits; see
            :class:`~debias.data.tables.rules.SplitRules`. The only column for ``split_by`` is
            "identity", which reads ``identity_CelebA``.

    Returns:
        All splits. An attribute is 1 if present and 0 if absent. Aligned groups are defined only
        for the single target Blond_Hair with the bias Male.

    Raises:
        ValueError: a file, an attribute, or the folder of masks or fills does not exist;
            ``targets`` is empty; an attribute is named twice; a cell is not valid; the partition
            or the identities lack an image of the attribute table; ``setting`` does not fit the
            other options; or all pictures of a split or class are missing.

    Differs from the reference: the authors draw balanced_blond without a seed, validate on the
    fifth that is left out, and test on the official validation split. Here validation and test are
    the official splits.
    """
    biases = bias_columns(bias)
    names = [*targets, *biases]
    if not targets or not biases or len(set(names)) < len(names):
        raise InputError(
            "celeba needs at least one target, and no attribute twice, and at least one bias; got "
            f"targets={list(targets)}, bias={bias!r}"
        )
    place = Path(root)
    columns = _attributes(place, names)
    labels = _labels(columns, targets, biases)
    rows = _rows(place, columns, rules)
    if _is_balanced(setting, targets, bias, rules):
        kept = _balanced(rows, labels, rules.split_seed)
        rows, labels = rows.take(kept), labels.take(kept)
    folder = _image_folder(place)
    examples = finish_rows(rows, labels, rules, folder).examples(
        folder, max_pixels=max_pixels, follow_links=follow_links
    )
    return with_companions(examples, masks=masks, fills=fills)


def _labels(columns: Columns, targets: Sequence[str], biases: Sequence[str]) -> Labels:
    several = len(targets) > 1
    target_names = tuple(name for target in targets for name in (f"not {target}", target))
    attributes = [
        Attribute(bias, (f"not {bias}", bias), ALIGNED.get((" ".join(targets), bias), ()))
        for bias in biases
    ]
    groups = Groups.product(target_names, attributes, multi_label=several)
    present = {name: columns.choices(name, PRESENCE) for name in (*targets, *biases)}
    labels = [present[target] for target in targets]
    values = torch.stack([present[bias] for bias in biases], dim=1)
    return Labels(
        torch.stack(labels, dim=1) if several else labels[0], groups.combine(values), groups
    )


def _is_balanced(
    setting: str | None, targets: Sequence[str], bias: str | list[str], rules: SplitRules
) -> bool:
    check_one_of(SETTINGS, {"data.setting": setting})
    given = (*targets, *bias_columns(bias))
    if setting is not None and (given != ("Blond_Hair", "Male") or rules.shares is not None):
        raise InputError(
            f"data.setting={setting} needs data.targets=[Blond_Hair], data.bias=Male and the "
            f"official splits; got {', '.join(given)} and shares={rules.shares}"
        )
    return setting is not None


def _balanced(rows: TableRows, labels: Labels, seed: int) -> list[int]:
    """The rows of balanced_blond, in order."""
    assert rows.split is not None
    in_training = rows.split == SPLITS.index("train")
    women = in_training & (labels.target == 0) & (labels.bias == 0)

    def drawn(chosen: Tensor) -> list[int]:
        """The chosen rows in a random order that depends on the seed and their names alone."""
        return sorted(
            chosen.nonzero().flatten().tolist(), key=lambda row: random_key(seed, rows.names[row])
        )

    left_out = set(drawn(women)[NOT_BLOND_WOMEN:])
    train = [row for row in drawn(in_training) if row not in left_out]
    left_out |= set(train[int(0.8 * len(train)) :])
    return [row for row in range(len(rows)) if row not in left_out]


def _attributes(root: Path, names: list[str]) -> Columns:
    source = _table(root, "list_attr_celeba")
    if source.suffix == ".csv":
        return read_csv(source, ["image_id", *names])
    header = ["image_id", *" ".join(read_text(source).splitlines()[1:2]).split()]
    return read_words(source, header, ["image_id", *names], skip=2)


def _rows(root: Path, attributes: Columns, rules: SplitRules) -> TableRows:
    """The rows of the attribute table, with the splits and identities that the rules need."""
    split, cells = None, {**attributes.cells}
    if rules.shares is None:
        partition = _joined(root, "list_eval_partition", "partition", attributes)
        split = partition.table.splits("partition")[torch.tensor(partition.rows)]
    if rules.split_by is not None:
        check_one_of(("identity",), {"data.split_by": rules.split_by}, of="celeba")
        identity = _joined(root, "identity_CelebA", "identity", attributes)
        cells["identity"] = identity.table.take(identity.rows).cells["identity"]
    every = range(len(attributes.lines))
    columns = replace(attributes, cells=cells)
    return TableRows(columns, columns.paths("image_id"), every, split)


class _Joined(NamedTuple):
    """Another table, and its row of each image of the attribute table."""

    table: Columns
    rows: Sequence[int]


def _joined(root: Path, name: str, column: str, attributes: Columns) -> _Joined:
    source = _table(root, name)
    table = (read_csv if source.suffix == ".csv" else read_words)(source, ["image_id", column])
    images, listed = attributes.cells["image_id"], table.cells["image_id"]
    if images == listed:
        return _Joined(table, range(len(images)))
    rows = {image: row for row, image in enumerate(listed)}
    absent = next((row for row, image in enumerate(images) if image not in rows), None)
    if absent is not None:
        raise attributes.error(
            absent, "image_id", f"which is not in {source}: add a row for it there"
        )
    return _Joined(table, [rows[image] for image in images])


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
