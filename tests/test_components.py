"""Names to components: facts by name, options by signature, errors that name the near miss."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from debias import components


def toy(
    groups: int, *, rate: float = 0.5, names: list[str] | None = None, root: str
) -> tuple[object, ...]:
    """A component."""
    return groups, rate, names, root


def test_every_entry_exists_and_is_documented():
    for kind, table in components.TABLES.items():
        for name in table:
            component = components.find(kind, name)
            assert (component.__doc__ or "").strip(), f"{kind}.{name}"
            # every option has a type that a config can hold
            for option, default in components.options(component).items():
                if isinstance(default, (int, float, str)):
                    assert components.check_options(
                        component, kind, {option: default, **given(component)}
                    )


def given(component: Callable[..., object]) -> dict[str, str | list[int]]:
    """A value for each option that has no default."""
    annotations = inspect.get_annotations(component, eval_str=True)
    return {
        name: [1] if annotations.get(name) == list[int] else "x"
        for name, default in components.options(component).items()
        if default is inspect.Parameter.empty
    }


def test_facts_and_options_reach_the_component():
    made = components.call(
        toy, "toy", {"rate": 1, "root": "/x", "names": ["a"]}, {"groups": 4, "unused": 5}
    )
    assert made == (4, 1.0, ["a"], "/x")
    assert isinstance(made[1], float)


@dataclass(frozen=True, kw_only=True)
class Shared:
    """Options of several components."""

    rate: float = 0.5
    words: dict[str, list[float]] | None = None


def sharing(groups: int, *, root: str, shared: Shared = Shared(rate=2.0)) -> tuple[object, ...]:
    """A component with a bundle of options."""
    return groups, root, shared


def test_the_fields_of_a_bundle_are_options():
    """They have the defaults of the component's own bundle, and types like other options."""
    assert components.options(sharing) == {
        "root": inspect.Parameter.empty,
        "rate": 2.0,
        "words": None,
    }
    given = {"root": "/x", "words": {"a": ["1", 2]}}
    made = components.call(sharing, "toy", given, {"groups": 4})
    assert made == (4, "/x", Shared(rate=2.0, words={"a": [1.0, 2.0]}))
    with pytest.raises(ValueError, match=r"toy\.words must be a section"):
        components.call(sharing, "toy", {"root": "/x", "words": 1}, {"groups": 4})
    with pytest.raises(ValueError, match=r"toy\.words\.a must be a list of numbers; got 1"):
        components.call(sharing, "toy", {"root": "/x", "words": {"a": 1}}, {"groups": 4})
    with pytest.raises(ValueError, match=r"unknown option toy\.shared"):
        components.call(sharing, "toy", {"root": "/x", "shared": 1}, {"groups": 4})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"root": "/x", "rat": 1}, "unknown option toy.rat; did you mean 'rate'"),
        (
            {"root": "/x", "rate": "fast"},
            "toy.rate must be a number; got 'fast'",
        ),
        ({}, "toy needs root: add toy.root=..."),
        ({"root": "/x", "rate": float("nan")}, "toy.rate must be a finite number; got nan"),
        ({"root": "/x", "rate": "-inf"}, "toy.rate must be a finite number; got -inf"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        components.call(toy, "toy", options, {"groups": 4})


def test_unknown_names_are_named():
    with pytest.raises(
        ValueError, match=r"unknown strategy.name 'group_rdo'; did you mean 'group_dro'"
    ):
        components.find("strategy", "group_rdo")


def test_what_asks_for_a_fact_requires_it():
    for kind, name, expected in (
        ("sampler", "group_balanced", ("bias",)),
        ("sampler", "class_balanced", ()),
        ("sampler", "upweighted", ("inferred groups",)),
        ("strategy", "decompose_compose", ("mask", "inferred groups")),
        ("strategy", "group_dro", ("bias", "groups")),
        ("augment", "none", ()),
    ):
        assert components.needs(components.find(kind, name)) == expected


def test_options_of_several_values_are_named_where_one_is_wrong():
    with pytest.raises(ValueError, match=r"recipe\.gammas\[1\] must be a number; got 'much'"):
        components.component("recipe", {"name": "afr", "gammas": [1, "much"]})
    assert components.options(components.find("recipe", "self"))["counts"] == [20, 100, 500]
