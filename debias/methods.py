"""The table of methods, ``methods.csv``: one row per strategy, sampler, augmentation and recipe.

The labels and masks that a method reads are not in the table: they follow from its class (see
:func:`debias.components.reads`).
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Published(NamedTuple):
    """Worst-group test accuracy in percent, as printed; "" where the source has none.

    Attributes:
        waterbirds: on Waterbirds.
        celeba: on CelebA, target blond hair, bias attribute male.
        source: the publication that printed it.
    """

    waterbirds: str
    celeba: str
    source: str


@dataclass(frozen=True)
class Method:
    """The facts of one method.

    Attributes:
        object: "module:name" of its class or function.
        paper: authors, venue and year.
        checked: what its parts were compared with: "authors' code" (a row of ``scripts/parity``),
            "formula" (an independent definition in the tests), or "thin source" (the paper leaves
            parts open).
        stages: number of training stages, such as "2" or "K + 2".
        networks: networks that are trained beside the model.
        cost: cost of a training step, in steps of ERM, whose forward pass counts 1/3; for a recipe,
            the cost of its stages.
        published: figures that were checked against their source.
    """

    object: str
    paper: str
    checked: str
    stages: str
    networks: str
    cost: str
    published: Published


def _read(path: Path) -> dict[str, dict[str, Method]]:
    table: dict[str, dict[str, Method]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            published = Published(row["waterbirds"], row["celeba"], row["printed"])
            facts = (row["object"], row["paper"], row["checked"])
            method = Method(*facts, row["stages"], row["networks"], row["cost"], published)
            table.setdefault(row["kind"], {})[row["name"]] = method
    return table


#: The methods by kind ("strategy", "sampler", "augment", "recipe") and name, in the order of the
#: table.
METHODS = _read(Path(__file__).with_suffix(".csv"))


def method(kind: str, name: str) -> Method:
    """The facts of a method. Those of a user's own method are unknown, except a single stage."""
    stages = "" if kind == "recipe" else "1"
    return METHODS[kind].get(name) or Method(name, "", "", stages, "", "", Published("", "", ""))
