"""ISIC: skin lesions, on many benign pictures with coloured patches."""

from dataclasses import replace
from pathlib import Path

from debias.data.examples import Examples
from debias.data.pictures.images import MAX_PIXELS
from debias.data.tables.rows import label_rows
from debias.data.tables.rules import RowRules
from debias.data.trees.reading import read_tree
from debias.data.trees.templates import read_template
from debias.errors import InputError

TEMPLATE = read_template("processed/{target:cancer|no_cancer}/*")
PATCHES = ("no patch", "patch")


def isic(
    *,
    root: str,
    rules: RowRules = RowRules(shares=[0.8, 0.1, 0.1]),  # noqa: B008 - it is frozen
    max_pixels: int = MAX_PIXELS,
    follow_links: bool = False,
) -> Examples:
    """Skin lesions, malignant or benign; a picture with a file in ``segmentation`` has a patch.

    Source: Rieger et al., "Interpretations are Useful: Penalizing Explanations to Align Neural
    Networks with Prior Knowledge", ICML 2020; reference code
    laura-rieger/deep-explanation-penalization, whose scripts make this tree.

    Args:
        root: the folder with ``processed/cancer``, ``processed/no_cancer`` and ``segmentation``.
            The segmentation of a patch has the name of its picture.
        rules: how fields become labels and splits. By default 80 % of the pictures are drawn for
            training, and 10 % each for validation and the test.
        max_pixels: the most pixels that an image may have.
        follow_links: whether links may lead out of ``root``.

    Returns:
        All splits. The target is the lesion, the bias the patch. No malignant picture has a patch.

    Raises:
        ValueError: a folder does not exist, there is no image, or no picture has a patch.

    Differs from the reference: it keeps pictures with patches out of its test by hand. Here both
    kinds of pictures are in every split.
    """
    place = Path(root)
    columns, _ = read_tree(place, [TEMPLATE], others=True)
    if not (place / "segmentation").is_dir():
        raise InputError(
            f"no folder {place / 'segmentation'}: put the segmentations of the patches there"
        )
    patched = {path.name for path in (place / "segmentation").iterdir()}
    paths = columns.paths("path")
    patches = [PATCHES[path.rpartition("/")[2] in patched] for path in paths]
    if PATCHES[True] not in patches:
        raise InputError(
            f"no picture has the name of a file in {place / 'segmentation'}: name each of these "
            "files like its picture"
        )
    columns = replace(columns, cells={**columns.cells, "patch": patches})
    rows = label_rows(
        columns,
        paths,
        rules,
        target="target",
        bias="patch",
        split=None,
        target_names=("no_cancer", "cancer"),
        bias_names=PATCHES,
    )
    return rows.examples(place, max_pixels=max_pixels, follow_links=follow_links)
