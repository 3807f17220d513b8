"""COCO and imSitu with the gender of the person, from the annotation files of Wang et al. 2019."""

import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from debias.data.examples import SPLITS, Examples
from debias.data.pictures.images import MAX_PIXELS
from debias.errors import InputError, check_one_of
from debias.types import Groups

GENDERS = ("man", "woman")
RATIOS = (1, 2, 3)
#: What a damaged pickle, or one with other contents, may raise.
DAMAGED = (
    *(pickle.UnpicklingError, EOFError, LookupError, TypeError, ValueError),
    *(AttributeError, OverflowError),
)
Row = Mapping[str, Any]


class _Lists(pickle.Unpickler):
    """Reads lists, dictionaries, sets, texts and numbers. Any other object is an error."""

    def find_class(self, module: str, name: str) -> Any:
        """The class of a set; all others are refused, so that no code of a file can run."""
        if (module, name) in (("__builtin__", "set"), ("builtins", "set")):
            return set
        raise pickle.UnpicklingError(f"it holds an object of the class {module}.{name}")


class Annotations(NamedTuple):
    """The annotations of one of the two data sets.

    Attributes:
        names: file with the names of the classes by number, below the folder.
        key: its entry with these names.
        picture: the path of the picture of a row, for a split.
        gender: the number of the gender of a row.
        labels: the class of a row, or its 0/1 labels.
    """

    names: str
    key: str
    picture: Callable[[Row, str], str]
    gender: Callable[[Row], int]
    labels: Callable[[Row], Any]


COCO = Annotations(
    names="object_id.map",
    key="id2object",
    picture=lambda row, split: f"{'train' if split == 'train' else 'val'}2014/{row['file_name']}",
    gender=lambda row: list(row["gender"]).index(1),
    labels=lambda row: row["objects"],
)
IMSITU = Annotations(
    names="verb_id.map",
    key="id2verb",
    picture=lambda row, split: f"of500_images_resized/{row['image_name']}",
    gender=lambda row: int(row["gender"]),
    labels=lambda row: int(row["verb"]),
)


def coco_gender(
    *,
    root: str,
    annotations: str | None = None,
    ratio: int | None = None,
    balanced: tuple[str, ...] = ("train",),
    max_pixels: int = MAX_PIXELS,
    follow_links: bool = False,
) -> Examples:
    """COCO pictures of people: the target is which of 79 objects are there, the bias the gender.

    Source: Wang et al., "Balanced Datasets Are Not Enough", ICCV 2019, whose annotation files are
    read; reference code uvavision/Balanced-Datasets-Are-Not-Enough, ``object_multilabel``. The
    files are pickles. They are read without running code.

    Args:
        root: the folder with the pictures of COCO, in ``train2014`` and ``val2014``.
        annotations: the folder with ``train.data``, ``val.data``, ``test.data`` and
            ``object_id.map``. By default ``root``.
        ratio: 1, 2 or 3 keeps only the rows of the lists ``<split>_ratio_<ratio>.ids``, in which
            no gender has more than this many times the rows of the other, for each object.
        balanced: the splits that ``ratio`` is for.
        max_pixels: the most pixels that an image may have.
        follow_links: whether links may lead out of ``root``.

    Returns:
        All splits. The target is multi-label.

    Raises:
        ValueError: a file does not exist or cannot be read, or ``ratio`` or ``balanced`` is not
            one of the values above.
    """
    place = Path(annotations or root)
    rows = _rows(place, ratio, balanced)
    return _examples(
        Path(root), place, COCO, rows, max_pixels=max_pixels, follow_links=follow_links
    )


def imsitu_gender(
    *,
    root: str,
    annotations: str | None = None,
    ratio: int | None = None,
    balanced: tuple[str, ...] = ("train",),
    max_pixels: int = MAX_PIXELS,
    follow_links: bool = False,
) -> Examples:
    """imSitu pictures of people: the target is what they do, one of 211 verbs, the bias the gender.

    Source: as for :func:`coco_gender`, in ``verb_classification``.

    Args:
        root: the folder with the pictures, in ``of500_images_resized``.
        annotations: the folder with ``train.data``, ``val.data``, ``test.data`` and
            ``verb_id.map``. By default ``root``.
        ratio: as for :func:`coco_gender`.
        balanced: the splits that ``ratio`` is for.
        max_pixels: the most pixels that an image may have.
        follow_links: whether links may lead out of ``root``.

    Returns:
        All splits.

    Raises:
        ValueError: as for :func:`coco_gender`.
    """
    place = Path(annotations or root)
    rows = _rows(place, ratio, balanced)
    return _examples(
        Path(root), place, IMSITU, rows, max_pixels=max_pixels, follow_links=follow_links
    )


def _rows(place: Path, ratio: int | None, balanced: Sequence[str]) -> list[tuple[str, Row]]:
    """The rows of all splits, each with the name of its split."""
    check_one_of((None, *RATIOS), {"data.ratio": ratio})
    for split in balanced:
        check_one_of(SPLITS, {"data.balanced": split})
    rows: list[tuple[str, Row]] = []
    for split in SPLITS:
        every: list[Row] = _read(place / f"{split}.data")
        if ratio is not None and split in balanced:
            path = place / f"{split}_ratio_{ratio}.ids"
            chosen = sorted(_read(path))
            if chosen and not 0 <= chosen[0] <= chosen[-1] < len(every):
                raise InputError(
                    f"{path} names row {chosen[-1]}, but {split}.data has {len(every)} rows: fetch "
                    "both again"
                )
            every = [every[number] for number in chosen]
        rows += [(split, row) for row in every]
    return rows


def _examples(
    root: Path,
    place: Path,
    kind: Annotations,
    rows: Sequence[tuple[str, Row]],
    *,
    max_pixels: int,
    follow_links: bool,
) -> Examples:
    try:
        ordered: dict[int, str] = _read(place / kind.names)[kind.key]
        names = [str(ordered[number]) for number in range(len(ordered))]
        images = tuple(kind.picture(row, split) for split, row in rows)
        target = torch.tensor([kind.labels(row) for _, row in rows])
        bias = torch.tensor([kind.gender(row) for _, row in rows])
    except DAMAGED as error:
        missing = f"no {error}" if isinstance(error, KeyError) else error
        raise InputError(
            f"the annotations in {place} are not as expected ({missing}): fetch them again"
        ) from None
    several = target.ndim == 2
    pairs = [name for label in names for name in (f"not {label}", label)]
    return Examples(
        root,
        images,
        target,
        bias,
        torch.tensor([SPLITS.index(split) for split, _ in rows]),
        Groups(tuple(pairs if several else names), GENDERS, multi_label=several),
        place,
        max_pixels=max_pixels,
        follow_links=follow_links,
    )


def _read(path: Path) -> Any:
    if not path.is_file():
        raise InputError(
            f"no file {path}: get it from uvavision/Balanced-Datasets-Are-Not-Enough, and set "
            "data.annotations to its folder"
        )
    try:
        with path.open("rb") as file:
            return _Lists(file, encoding="latin1").load()
    except DAMAGED as error:
        raise InputError(f"cannot read {path} ({error}): fetch it again") from None
