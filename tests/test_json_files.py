"""JSON objects as dataclasses: what has another type is named, and what is unknown is left out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from debias.json_files import MisfitError, typed


@dataclass(frozen=True)
class Leaf:
    name: str
    size: float | None


@dataclass(frozen=True)
class Tree:
    leaves: tuple[Leaf, ...]
    trunk: Leaf | None = None
    age: int = 3
    notes: Mapping[str, Any] = field(default_factory=dict)


def test_objects_become_dataclasses_at_every_depth() -> None:
    """An integer is a number, too; an absent entry has its default, or is ``None``."""
    value = {
        "leaves": [{"name": "a", "size": 1}, {"name": "b"}],
        "trunk": {"name": "t", "size": 2.5},
    }
    assert typed(Tree, value) == Tree((Leaf("a", 1), Leaf("b", None)), Leaf("t", 2.5), 3, {})
    assert typed(Tree, {"leaves": [], "trunk": None}) == Tree(())


def test_entries_of_a_later_version_are_left_out() -> None:
    value = {"leaves": [{"name": "a", "size": None, "colour": "red"}], "roots": 7}
    assert typed(Tree, value) == Tree((Leaf("a", None),))


@pytest.mark.parametrize(
    ("value", "entry"),
    [
        ([], ""),
        ({}, "leaves"),
        ({"leaves": None}, "leaves"),
        ({"leaves": {}}, "leaves"),
        ({"leaves": [{"name": "a"}, 3]}, "leaves.1"),
        ({"leaves": [{"size": 1.0}]}, "leaves.0.name"),
        ({"leaves": [{"name": "a", "size": "1"}]}, "leaves.0.size"),
        ({"leaves": [], "trunk": 3}, "trunk"),
        ({"leaves": [], "age": None}, "age"),
        ({"leaves": [], "age": 3.5}, "age"),
        ({"leaves": [], "notes": []}, "notes"),
    ],
)
def test_the_entry_that_does_not_fit_is_named(value: object, entry: str) -> None:
    with pytest.raises(MisfitError) as error:
        typed(Tree, value)
    assert str(error.value) == entry
