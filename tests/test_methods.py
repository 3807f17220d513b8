"""The table of methods names what there is, and its facts have their form."""

import re
from pathlib import Path

import pytest

from debias import components
from debias.methods import METHODS, Method
from tests.strategies.test_strategies import STRATEGIES

CHECKED = ("", "authors' code", "formula", "thin source")
EVERY = [pytest.param(kind, name, id=name) for kind, methods in METHODS.items() for name in methods]


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_the_object_of_a_row_is_there(kind: str, name: str):
    assert callable(components.find(kind, name))
    assert METHODS[kind][name].checked in CHECKED


#: Methods in the file of another one, whose class they extend by a few lines.
SHARED_FILES = {
    "class_reweighting": "reweighting",
    "group_reweighting": "reweighting",
    "conditional_logit_adjustment": "logit_adjustment",
    "amplified_lff": "amplified",
    "selecmix_lff": "selecmix",
    "amplified_disentangled": "amplified",
    "free_adversarial_training": "adversarial_training",
    "none": "augmentation",
    "mixup": "mixing",
    "cutmix": "mixing",
    "mixstyle": "feature_styles",
    "efdmix": "feature_styles",
    "padain": "feature_styles",
    **dict.fromkeys(("apr_p", "apr_s", "fda"), "spectrum"),
}


@pytest.mark.parametrize("kind", ["strategy", "augment"])
def test_the_file_of_a_method_bears_its_name(kind: str):
    for name in METHODS[kind]:
        module = components.find(kind, name).__module__
        assert module.rpartition(".")[2] == SHARED_FILES.get(name, name)


def test_methods_with_a_row_of_parity_are_those_checked_against_the_authors_code():
    page = (Path(__file__).parents[1] / "docs" / "parity.md").read_text(encoding="utf-8")
    compared = set(re.findall(r"^\| (\w+) \|", page, re.MULTILINE)) - {"method"}
    listed = {name for methods in METHODS.values() for name, method in methods.items()}
    checked = {
        name
        for methods in METHODS.values()
        for name, method in methods.items()
        if method.checked == "authors' code"
    }
    assert compared & listed <= checked


def test_what_a_few_methods_read_and_infer():
    assert components.reads("strategy", "group_dro") == ("train labels",)
    assert components.reads("strategy", "flac") == ("some train labels",)
    assert components.reads("strategy", "decompose_compose") == ("masks",)
    assert components.reads("sampler", "group_balanced") == ("train labels",)
    assert components.reads("augment", "recombination") == ("masks",)
    assert components.reads("recipe", "dfr") == ("val labels",)
    assert components.infers("recipe", "xrm") == ("train", "val")
    assert components.infers("strategy", "erm") == ()


@pytest.mark.parametrize("name", [name for name in METHODS["strategy"] if name in STRATEGIES])
def test_a_strategy_with_parameters_names_what_they_are(name: str):
    assert bool(list(STRATEGIES[name]().parameters())) == bool(METHODS["strategy"][name].networks)


@pytest.mark.parametrize("method", [m for methods in METHODS.values() for m in methods.values()])
def test_figures_are_percentages_with_a_source(method: Method):
    waterbirds, celeba, source = method.published
    for figure in (waterbirds, celeba):
        assert figure == "" or re.fullmatch(r"\d\d\.\d( ± \d\.\d)?", figure)
    assert bool(waterbirds or celeba) == bool(source)
