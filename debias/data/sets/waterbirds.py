"""Waterbirds: landbirds and waterbirds of CUB, pasted on land and water backgrounds of Places."""

import os
from pathlib import Path

from debias.csv_files import read_csv
from debias.data.examples import Examples
from debias.data.listing import first_file
from debias.data.masks.companions import with_companions
from debias.data.pictures.images import MAX_PIXELS
from debias.data.tables.labels import Labels
from debias.data.tables.rows import finish_rows
from debias.data.tables.rules import GIVEN_SPLITS, SplitRules
from debias.data.tables.splits import given_splits
from debias.data.tables.subsets import TableRows
from debias.types import Groups

RELEASES = ("waterbird_complete95_forest2water2", "waterbirds_v1.0")
GROUPS = Groups(("landbird", "waterbird"), ("land", "water"), aligned=((0, 0), (1, 1)))


def waterbirds(
    *,
    root: str,
    masks: str | None = None,
    fills: str | None = None,
    max_pixels: int = MAX_PIXELS,
    follow_links: bool = False,
    rules: SplitRules = GIVEN_SPLITS,
) -> Examples:
    """Waterbirds in the layout of its release or of WILDS, read from ``metadata.csv``.

    Source: Sagawa et al., "Distributionally Robust Neural Networks for Group Shifts", ICLR 2020
    (release ``waterbird_complete95_forest2water2``); and Koh et al., "WILDS", ICML 2021
    (``waterbirds_v1.0``).

    Args:
        root: the folder with ``metadata.csv``, or the folder that contains the release folder.
        masks: a folder of masks in the layout of CUB's ``segmentations``, ``<class>/<image>.png``.
            By default it is a folder ``segmentations`` inside or beside ``root``, if one exists.
        fills: a folder of backgrounds that another program filled in, such as LaMa. They are named
            like the masks, ``.png`` or ``.jpg``.
        max_pixels: the most pixels that an image, mask or fill may have.
        follow_links: whether links may lead out of the folders of images, masks and fills.
        rules: missing pictures and drawn splits; see :class:`~debias.data.tables.rules.SplitRules`.

    Returns:
        All splits. Target 0 is landbird, 1 is waterbird. Bias 0 is land, 1 is water. An image
        without a mask file has no mask.

    Raises:
        ValueError: ``metadata.csv`` does not exist or has a cell that is not valid, or the folder
            of masks or fills does not exist or fits no image.
    """
    folder = _release(Path(root))
    wanted = ["img_filename", "y", "split", "place", *rules.columns]
    columns = read_csv(folder / "metadata.csv", wanted)
    every = range(len(columns.lines))
    split = given_splits(columns, "split", every, rules)
    rows = TableRows(columns, columns.paths("img_filename"), every, split)
    labels = Labels(columns.integers("y"), columns.integers("place"), GROUPS)
    examples = finish_rows(rows, labels, rules, folder).examples(
        folder, max_pixels=max_pixels, follow_links=follow_links
    )
    masks_root = _near(Path(root), folder) if masks is None else masks
    return with_companions(examples, masks=masks_root, fills=fills)


def _release(root: Path) -> Path:
    return first_file(
        (folder / "metadata.csv" for folder in (root, *(root / name for name in RELEASES))),
        absent=f"no metadata.csv in {root}, nor in {' or '.join(RELEASES)} inside it: set root to "
        "the folder of the unpacked Waterbirds",
    ).parent


def _near(root: Path, folder: Path) -> Path | None:
    beside = Path(os.path.abspath(root)).parent  # the root may be "."
    candidates = [near / "segmentations" for near in (folder, root, beside)]
    return next((candidate for candidate in candidates if candidate.is_dir()), None)
