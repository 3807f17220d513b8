"""The facts of one method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Published(NamedTuple):
    """Worst-group test accuracy in percent, as printed; "" where the source has none.

    Tables of papers were read where later works reprint them, READMEs where they are.

    Attributes:
        waterbirds: on Waterbirds.
        celeba: on CelebA, blond hair with the bias male.
        source: who printed it.
    """

    waterbirds: str = ""
    celeba: str = ""
    source: str = ""


#: Where no figure was found, or none could be traced to a source.
UNCHECKED = Published()


@dataclass(frozen=True)
class Method:
    """What a method reads, what it costs, and what it reached.

    Attributes:
        paper: authors and year.
        reads: beside images and classes, at its default options: "train labels" ("some train labels" where a part will
            do) and "val labels" of the bias, "masks". Selecting an epoch by its worst group is not the method's own.
        infers: splits whose groups it finds by itself.
        stages: trainings that follow each other.
        networks: what is trained beside the model.
        cost: of a training step in steps of ERM, of which a third is the forward pass; for a recipe, of its stages.
        published: figures that were checked.
    """

    paper: str
    reads: tuple[str, ...] = ()
    infers: tuple[str, ...] = ()
    stages: str = "1"
    networks: str = ""
    cost: str = "1"
    published: Published = UNCHECKED


#: What many methods read.
LABELS = ("train labels",)

#: Sources of several figures. SubpopBench's are those with the attributes known in training and validation.
LIU = "Liu et al. 2021, Table 1"
KIRICHENKO = "Kirichenko et al. 2023, Table 2"
IDRISSI = "Idrissi et al. 2022, Table 2"
SUBPOPBENCH = "SubpopBench, Yang et al. 2023"
