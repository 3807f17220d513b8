"""The catalogue names what there is, and says of it what its code says."""

from __future__ import annotations

import re

import pytest

from debias import components
from debias.catalogue import METHODS, Method
from tests.strategies.test_strategies import STRATEGIES

METHODS_BY_NAME = [pytest.param(method, id=name) for methods in METHODS.values() for name, method in methods.items()]


def test_every_strategy_and_recipe_has_an_entry():
    for kind in ("strategy", "recipe"):
        assert METHODS[kind].keys() == components.TABLES[kind].keys()


def test_every_entry_is_there():
    for kind, methods in METHODS.items():
        assert methods.keys() <= components.TABLES[kind].keys()


@pytest.mark.parametrize("name", METHODS["strategy"])
def test_a_strategy_reads_what_it_requires(name):
    requires = getattr(components.find("strategy", name), "requires", ())
    assert ("train labels" in METHODS["strategy"][name].reads) == ("bias" in requires)
    assert ("some train labels" in METHODS["strategy"][name].reads) == ("some bias" in requires)


@pytest.mark.parametrize("name", METHODS["recipe"])
def test_a_recipe_reads_and_infers_what_it_says(name):
    recipe = components.find("recipe", name)()
    assert METHODS["recipe"][name].reads == tuple(f"{split} labels" for split in recipe.reads)
    assert METHODS["recipe"][name].infers == recipe.infers


@pytest.mark.parametrize("name", METHODS["sampler"])
def test_a_sampler_reads_the_facts_it_asks_for(name):
    asked = components.required_facts("sampler", name, {"group": "bias", "bias": "bias"})
    assert ("train labels" in METHODS["sampler"][name].reads) == bool(asked)


@pytest.mark.parametrize("name", METHODS["augment"])
def test_an_augmentation_reads_what_it_requires(name):
    requires = getattr(components.find("augment", name), "requires", ())
    names = {"bias": "train labels", "mask": "masks"}
    assert METHODS["augment"][name].reads == tuple(names[item] for item in requires)


@pytest.mark.parametrize("name", [name for name in METHODS["strategy"] if name in STRATEGIES])
def test_a_strategy_with_parameters_names_what_they_are(name):
    assert bool(list(STRATEGIES[name]().parameters())) == bool(METHODS["strategy"][name].networks)


@pytest.mark.parametrize("method", METHODS_BY_NAME)
def test_figures_are_percentages_with_a_source(method: Method):
    waterbirds, celeba, source = method.published
    for figure in (waterbirds, celeba):
        assert figure == "" or re.fullmatch(r"\d\d\.\d( ± \d\.\d)?", figure)
    assert bool(waterbirds or celeba) == bool(source)
