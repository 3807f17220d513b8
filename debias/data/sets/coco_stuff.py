"""COCO-Stuff: objects and the stuff around them, as labels that depend on each other."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from debias.data.examples import SPLITS, Examples
from debias.data.pictures.images import MAX_PIXELS
from debias.data.tables.draws import draw_splits
from debias.errors import InputError, check_between, near
from debias.progress import say
from debias.types import Groups

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
    """The categories of the pictures of one folder.

    Attributes:
        folder: "train2014" or "val2014".
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
            default all but ``bias``. ``debias.data.sets.coco_stuff.CONTEXTS`` has the biased pairs
            of the paper.
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
    several = len(chosen) > 1
    pairs = tuple(name for label in chosen for name in (f"not {label}", label))
    return Examples(
        place,
        tuple(images),
        present[:, :-1] if several else present[:, 0],
        present[:, -1],
        split,
        Groups(pairs, (f"not {bias}", bias), multi_label=several),
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
    names: dict[int, str] = {}
    stuff: set[tuple[int, int]] = set()
    # COCO divided the pictures of 2014 in another way in 2017: both parts of the stuff are needed
    for part in ("train", "val"):
        content = _read(folder / f"stuff_{part}2017.json")
        names |= _categories(content)
        stuff |= _pairs(content)
    seen = []
    for part in ("train", "val"):
        content = _read(folder / f"instances_{part}2014.json")
        files = {image["id"]: image["file_name"] for image in content["images"]}
        known = names | _categories(content)
        pairs = {pair for pair in stuff | _pairs(content) if pair[0] in files and pair[1] in known}
        seen.append(Seen(f"{part}2014", files, known, pairs))
    return seen


def _categories(content: dict[str, Any]) -> dict[int, str]:
    every = content["categories"]
    return {each["id"]: each["name"] for each in every if each["name"] != OBJECTS}


def _pairs(content: dict[str, Any]) -> set[tuple[int, int]]:
    return {(each["image_id"], each["category_id"]) for each in content["annotations"]}


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(
            f"no file {path}: unpack the annotations of COCO 2014 and of COCO-Stuff there"
        )
    try:
        content = json.loads(path.read_bytes())
        return {name: content[name] for name in ("images", "categories", "annotations")}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"cannot read {path} as annotations ({error}): fetch it again") from None
