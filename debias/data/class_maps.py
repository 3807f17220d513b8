"""How the thousand classes of ImageNet map to the classes of the sets made for its classifiers.

Classes are named by WordNet ids ("wnids"), such as n02084071. timm has the lists of ImageNet and of
two subsets. ``class_maps.csv`` holds the others: MadryLab/backgrounds_challenge
(in_to_in9.json), rgeirhos/texture-vs-shape (human_categories.py, without the wnids that ImageNet
does not have), and the fifteen classes that the paper of Hard ImageNet names.
"""

import csv
import pkgutil
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from timm.data import ImageNetInfo
from torch import Tensor

from debias.errors import check_one_of

#: The wnid of each class, in the order of the logits of ImageNet's classifiers.
WNIDS = tuple(ImageNetInfo("imagenet-1k").label_names())
#: Subsets of the thousand classes, and timm's file of their wnids.
SUBSETS = {"imagenet_a": "imagenet_a_synsets.txt", "imagenet_r": "imagenet_r_synsets.txt"}
FILE = Path(__file__).parent / "class_maps.csv"


class ClassMap(NamedTuple):
    """The classes of a data set, and which of them each class of ImageNet belongs to.

    Attributes:
        classes: names of the classes of the data set.
        of_imagenet: ``(1000,)`` int64 position in ``classes``, or -1 for none.
    """

    classes: tuple[str, ...]
    of_imagenet: Tensor


@cache
def class_map(name: str) -> ClassMap:
    """The classes of a data set by the name of their map. Do not change it: callers share it.

    Args:
        name: "wnids" (the thousand, named by their wnids), "positions" (the thousand, named 0 to
            999), a key of ``SUBSETS``, or a map in ``class_maps.csv``.

    Raises:
        ValueError: there is no such map.
    """
    maps = _maps()
    check_one_of(sorted(maps), {"a map of ImageNet's classes": name})
    members = maps[name]
    of_wnid = {wnid: place for place, wnids in enumerate(members.values()) for wnid in wnids}
    return ClassMap(tuple(members), torch.tensor([of_wnid.get(wnid, -1) for wnid in WNIDS]))


def readable(name: str) -> str:
    """The name of a class with its first English word, if it is a wnid of ImageNet.

    Example:
        >>> readable("n01443537"), readable("dog")
        ('goldfish (n01443537)', 'dog')
    """
    return f"{_words()[name].partition(',')[0]} ({name})" if name in _words() else name


@cache
def _words() -> dict[str, str]:
    words: dict[str, str] = ImageNetInfo("imagenet-1k").label_descriptions(as_dict=True)
    return words


@cache
def _maps() -> dict[str, dict[str, list[str]]]:
    """For each map, the wnids of each class."""
    maps = {"wnids": {wnid: [wnid] for wnid in WNIDS}}
    maps["positions"] = {str(place): [wnid] for place, wnid in enumerate(WNIDS)}
    for name, file in SUBSETS.items():
        text = (pkgutil.get_data("timm.data", f"_info/{file}") or b"").decode()
        maps[name] = {wnid: [wnid] for wnid in text.split()}
    with FILE.open(encoding="utf-8", newline="") as file_of_maps:
        for row in csv.DictReader(file_of_maps):
            maps.setdefault(row["map"], {})[row["class"]] = row["wnids"].split()
    return maps
