"""Waterbirds: landbirds and waterbirds from CUB, put on land or water from Places."""

from pathlib import Path

from debias.csv_files import read_csv
from debias.data.examples import Examples
from debias.data.listing import first_file
from debias.data.masks.companions import with_companions
from debias.data.pictures.images import MAX_PIXELS
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
) -> Examples:
    """Waterbirds in the layout of its release or of WILDS, read from ``metadata.csv``.

    Source: Sagawa et al., "Distributionally Robust Neural Networks for Group Shifts", ICLR 2020;
    release ``waterbird_complete95_forest2water2``, and Koh et al., "WILDS", ICML 2021,
    ``waterbirds_v1.0``.

    Args:
        root: the folder that holds ``metadata.csv``, or the one that holds the release folder.
        masks: a folder of masks in the layout of CUB's ``segmentations``, ``<class>/<image>.png``.
            Left out, a folder ``segmentations`` inside or beside ``root`` is used if there is one.
        fills: a folder of backgrounds filled in elsewhere (by LaMa, say), named like the masks,
            ``.png`` or ``.jpg``.
        max_pixels: the most pixels that an image, mask or fill may have.
        follow_links: whether links may lead out of the folders of images, masks and fills.

    Returns:
        All splits; target 0 landbird, 1 waterbird; bias 0 land, 1 water. An image whose mask is not
        there has none.

    Raises:
        ValueError: no ``metadata.csv``, a bad cell in it, or a folder of masks or fills that is not
            there or fits no image.
    """
    folder = _release(Path(root))
    columns = read_csv(folder / "metadata.csv", ["img_filename", "y", "split", "place"])
    examples = Examples(
        root=folder,
        images=columns.paths("img_filename"),
        target=columns.integers("y"),
        bias=columns.integers("place"),
        split=columns.splits("split"),
        groups=GROUPS,
        source=columns.source,
        max_pixels=max_pixels,
        follow_links=follow_links,
    )
    masks_root = _near(Path(root), folder) if masks is None else masks
    return with_companions(examples, masks=masks_root, fills=fills)


def _release(root: Path) -> Path:
    return first_file(
        (folder / "metadata.csv" for folder in (root, *(root / name for name in RELEASES))),
        absent=f"no metadata.csv in {root}, nor in {' or '.join(RELEASES)} inside it: set root to "
        "the unpacked Waterbirds",
    ).parent


def _near(root: Path, folder: Path) -> Path | None:
    candidates = [near / "segmentations" for near in (folder, root, root.parent)]
    return next((candidate for candidate in candidates if candidate.is_dir()), None)
