"""Your own data, listed in one CSV or Parquet file."""

from dataclasses import replace
from pathlib import Path

from debias.data.examples import Examples
from debias.data.masks.companions import with_companions
from debias.data.pictures.images import MAX_PIXELS
from debias.data.tables.derived import NOTHING, DerivedColumns
from debias.data.tables.files import read_table, table_source
from debias.data.tables.labels import bias_columns
from debias.data.tables.rows import label_rows
from debias.data.tables.rules import NO_RULES, RowRules
from debias.errors import InputError


def table(
    *,
    file: str | dict[str, str] | None = None,
    csv: str | None = None,
    root: str | None = None,
    path: str = "path",
    target: str = "target",
    bias: str | list[str] | None = "bias",
    split: str | None = "split",
    mask: str | None = None,
    masks: str | None = None,
    fills: str | None = None,
    target_names: list[str] | None = None,
    bias_names: list[str] | dict[str, list[str]] | None = None,
    aligned: list[list[int | str]] | dict[str, list[list[int | str]]] | None = None,
    max_pixels: int = MAX_PIXELS,
    follow_links: bool = False,
    rules: RowRules = NO_RULES,
    derived: DerivedColumns = NOTHING,
) -> Examples:
    """Images listed in a CSV or Parquet file: one row per image, in columns with names.

    Args:
        file: the file. It is a Parquet file if its name ends in ``.parquet``, which needs the extra
            ``parquet``. Otherwise it is a CSV file, whose first line names the columns. A CSV file
            whose name ends in ``.gz`` is unpacked while it is read. One file per split is given as
            ``{train: a.csv, test: b.csv}``. A path may begin with ``{root}``.
        csv: an older name of the option ``file``.
        root: the folder that image and mask paths are relative to. By default it is the folder of
            the file.
        path: column of the image paths.
        target: column of the classes: integers from 0, or names.
        bias: column of the bias attribute: integers from 0, or names. A cell that is empty, -1, NA,
            nan or None is an unknown value, unless ``bias_names`` contains it. Set ``null`` if
            there is no such column. With a list of columns, each combination of their values is one
            bias value.
        split: column of train, val (or valid, validation) and test, or 0, 1, 2. It is not read if
            ``shares`` draws the splits, nor with one file per split.
        mask: column of the mask paths. The cell is empty if the image has no mask.
        masks: a folder of masks, ``<image without its suffix>.png``, instead of ``mask``.
        fills: a folder of backgrounds that another program filled in, such as LaMa. They are named
            like the masks, ``.png`` or ``.jpg``.
        target_names: the classes in order. By default they are the sorted names in the column, or
            the integers themselves.
        bias_names: the bias values in order, with the same default. For several bias columns, the
            values of some columns, as in ``{bg: [land, water]}``.
        aligned: the bias-aligned (target, bias) pairs, as names or integers. For several bias
            columns, the pairs of each column, as in ``{bg: [[0, 0], [1, 1]]}``.
        max_pixels: the most pixels that an image, mask or fill may have.
        follow_links: whether links may lead out of the folders of images, masks and fills.
        rules: values, bins and drawn splits; see :class:`~debias.data.tables.rules.RowRules`.
        derived: columns that are made of others or of other files; see
            :class:`~debias.data.tables.derived.DerivedColumns`.

    Returns:
        All splits.

    Raises:
        ValueError: not exactly one of ``file`` and ``csv`` is given, the file or a column does not
            exist, a cell is not a class, bias value or split, an aligned pair is not one of a
            class and a bias value, both ``mask`` and ``masks`` are given, or the folder
            of masks or fills does not exist or fits no image.
    """
    source = table_source(file, csv, root)
    split = split if rules.shares is None else None
    if mask is not None and masks is not None:
        raise InputError(
            f"masks are given twice, by mask={mask} and masks={masks}: leave one option out"
        )
    names = [path, target, split, *bias_columns(bias), *rules.columns, mask]
    wanted = list(dict.fromkeys(name for name in names if name is not None))
    columns = read_table(source, wanted, derived, split=split)
    folder = _folder(source) if root is None else Path(root)
    rows = label_rows(
        columns,
        columns.paths(path),
        rules,
        target=target,
        bias=bias,
        split=split,
        target_names=target_names,
        bias_names=bias_names,
        aligned=aligned,
        root=folder,
    )
    examples = rows.examples(folder, max_pixels=max_pixels, follow_links=follow_links)
    if mask is not None:
        masks_of_rows = tuple(rows.columns.cells[mask])
        examples = replace(examples, mask_root=folder, masks=masks_of_rows)
    return with_companions(examples, masks=masks, fills=fills)


def _folder(source: Path | dict[str, Path]) -> Path:
    return (source if isinstance(source, Path) else next(iter(source.values()))).parent
