"""COCO-Stuff: objects and the stuff around them, as labels that depend on each other."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from debias.data.examples import SPLITS, Examples
from debias.data.pictures.images import MAX_PIXELS
from debias.data.tables.draws import draw_splits
from debias.errors import InputError, check_between, near
from debias.progress import say
from debias.types import ContextPair, Groups

#: Biased pairs of Singh et al.: an object, and what it mostly occurs with.
CONTEXTS = {
    "cup": "dining table", "wine glass": "person", "handbag": "person", "apple": "fruit",
    "car": "road", "bus": "road", "potted plant": "vase", "spoon": "bowl", "microwave": "oven",
    "keyboard": "mouse", "skis": "person", "clock": "building-other", "sports ball": "person",
    "remote": "person", "snowboard": "person", "toaster": "ceiling-other", "hair drier": "towel",
    "tennis racket": "person", "skateboard": "person", "baseball glove": "person",
}  # fmt: skip
#: The category of the stuff annotations that only means "some object".
OBJECTS = "other"


class Seen(NamedTuple):
    """The categories of the pictures of one folder, or those of one file of annotations.

    Attributes:
        folder: "train2014" or "val2014"; empty for a file.
        files: names of the pictures by id.
        names: names of the categories by id.
        pairs: (id of a picture, id of a category).
    """

    folder: str
    files: dict[int, str]
    names: dict[int, str]
    pairs: set[tuple[int, int]]


def coco_stuff(
    *,
    root: str,
    targets: tuple[str, ...] = (),
    bias: str = "person",
    holdout: float = 0.2,
    split_seed: int = 0,
    max_pixels: int = MAX_PIXELS,
    follow_links: bool = False,
) -> Examples:
    """Pictures of COCO 2014 with their objects and stuff: 171 categories, such as car and road.

    Source: Singh et al., "Don't Judge an Object by Its Context: Learning to Overcome Contextual
    Bias", CVPR 2020; the categories and pairs as in princetonvisualai/ContextualBias.

    Args:
        root: the folder with the pictures in ``train2014`` and ``val2014``, and with
            ``annotations/instances_train2014.json``, ``instances_val2014.json``,
            ``stuff_train2017.json`` and ``stuff_val2017.json``.
        targets: categories to predict, of objects or stuff. Several are a multi-label problem. By
            default all but ``bias``. The contexts of the labels are the biased pairs of the paper
            whose two categories are both targets (``debias.data.sets.coco_stuff.CONTEXTS``).
        bias: the category whose presence is the bias attribute.
        holdout: share of ``train2014`` that is held out for validation, in (0, 1).
        split_seed: another seed holds out other pictures.
        max_pixels: the most pixels that an image may have.
        follow_links: whether links may lead out of ``root``.

    Returns:
        All splits. The test split is ``val2014``.

    Raises:
        ValueError: a file does not exist, or a category is unknown or named twice.

    Differs from the reference: it reads the stuff of a picture from its PNG map; here the same
    annotations are read from JSON. It holds out 20 % of training at random, unseeded.
    """
    check_between("(0, 1)", {"data.holdout": holdout})
    place = Path(root)
    seen = _read_all(place / "annotations")
    chosen = _chosen({name for part in seen for name in part.names.values()}, targets, bias)
    images = [f"{part.folder}/{part.files[number]}" for part in seen for number in part.files]
    present = torch.cat([_present(part, (*chosen, bias)) for part in seen])
    train = len(seen[0].files)
    split = torch.full((len(images),), SPLITS.index("test"))
    split[:train] = draw_splits(
        images[:train],
        torch.zeros(train, dtype=torch.int64),
        present[:train, -1],
        shares=[1 - holdout, holdout],
        seed=split_seed,
    )
    groups = _groups(chosen, bias)
    return Examples(
        place,
        tuple(images),
        present[:, :-1] if groups.multi_label else present[:, 0],
        present[:, -1],
        split,
        groups,
        place,
        max_pixels=max_pixels,
        follow_links=follow_links,
    )


def _chosen(names: Collection[str], targets: Sequence[str], bias: str) -> Sequence[str]:
    """The categories to predict."""
    chosen = tuple(targets) or tuple(sorted({*names} - {bias}))
    for name in (*chosen, bias):
        if name not in names:
            raise InputError(f"COCO-Stuff has no category {name!r}; {near(name, names)}")
    if len({*chosen, bias}) <= len(chosen):
        raise InputError(
            "data.targets and data.bias must be different categories; got "
            f"targets={list(chosen)} and bias={bias}"
        )
    return chosen


def _groups(chosen: Sequence[str], bias: str) -> Groups:
    """The groups. Contexts are the biased pairs whose two categories are both targets."""
    several = len(chosen) > 1
    pairs = tuple(name for label in chosen for name in (f"not {label}", label))
    contexts = tuple(
        ContextPair(chosen.index(label), chosen.index(context))
        for label, context in CONTEXTS.items()
        if several and label in chosen and context in chosen
    )
    return Groups(pairs, (f"not {bias}", bias), multi_label=several, contexts=contexts)


def _present(part: Seen, names: Sequence[str]) -> Tensor:
    """``(N, len(names))`` int64: which categories each picture has."""
    rows = {number: row for row, number in enumerate(part.files)}
    columns = {name: column for column, name in enumerate(names)}
    present = torch.zeros(len(rows), len(names), dtype=torch.int64)
    places = [
        (rows[picture], columns[part.names[category]])
        for picture, category in part.pairs
        if part.names[category] in columns
    ]
    if places:
        present[tuple(torch.tensor(places).T)] = 1
    return present


def _read_all(folder: Path) -> list[Seen]:
    """The pictures for training and for the test, with their objects and stuff."""
    say(f"reading the annotations of COCO and COCO-Stuff in {folder}")
    # COCO divided the pictures of 2014 in another way in 2017: both parts of the stuff are needed
    stuff = [_read(folder / f"stuff_{part}2017.json") for part in ("train", "val")]
    seen = []
    for part in ("train", "val"):
        objects = _read(folder / f"instances_{part}2014.json")
        names = {key: name for each in (*stuff, objects) for key, name in each.names.items()}
        every = set().union(*(each.pairs for each in (*stuff, objects)))
        pairs = {pair for pair in every if pair[0] in objects.files and pair[1] in names}
        seen.append(Seen(f"{part}2014", objects.files, names, pairs))
    return seen


def _read(path: Path) -> Seen:
    """The pictures and categories of one file of annotations."""
    if not path.is_file():
        raise InputError(
            f"no file {path}: unpack the annotations of COCO 2014 and of COCO-Stuff there"
        )
    try:
        content = json.loads(path.read_bytes())
        return Seen(
            "",
            {each["id"]: each["file_name"] for each in content["images"]},
            {each["id"]: each["name"] for each in content["categories"] if each["name"] != OBJECTS},
            {(each["image_id"], each["category_id"]) for each in content["annotations"]},
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"cannot read {path} as annotations ({error}): fetch it again") from None
