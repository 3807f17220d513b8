"""Names "module:object": the user's own parts are found, checked and described like ours."""

import re
import sys
from pathlib import Path

import pytest
import torch

from debias import components, own_parts
from debias import config as configs
from debias.__main__ import main
from debias.data.orders import Order
from debias.errors import InputError

METHOD = '''
from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from debias.data.orders import Order, Permuted
from debias.strategies.strategy import Strategy

if TYPE_CHECKING:
    from debias.types import Groups


class Mine(Strategy):
    """Weigh groups in a way of one's own.

    More about it.
    """

    requires = ("bias",)

    def __init__(self, groups: Groups, *, rate: float = 0.5, width=None) -> None:
        super().__init__(groups)


class Silent(Strategy):
    requires = ("mask",)


class Forgot(Strategy):
    def __init__(self, groups, rate=0.5):
        super().__init__(groups)


class Unresolved(Strategy):
    def __init__(self, *, groups: Groups | None = None):
        super().__init__(groups)


def backwards(row: torch.Tensor, *, repeats: int = 2) -> Order:
    """Visit the samples from the last to the first."""
    return Permuted(torch.arange(len(row)).flip(0), repeats)


def numbers(row):
    return [1, 2]


def count(row) -> int:
    return 1


rate = 3
'''
OTHERS = '''
from dataclasses import dataclass

from torch.optim import Rprop
from torch.optim.lr_scheduler import ExponentialLR
from debias.augment.augmentation import Augmentation
from debias.data.examples import Examples
from debias.data.pictures.geometry import Geometry, Resize
from debias.data.pictures.preprocessing import Preprocessing
from debias.recipes.one_stage import OneStage


class Same(Augmentation):
    """Leave a batch as it is."""


def tiny(*, side: int = 8) -> Preprocessing:
    geometry = Geometry((Resize(side, side),), side, side)
    return Preprocessing(geometry, geometry)


def signs(parameters, *, lr: float = 0.1) -> Rprop:
    return Rprop(parameters, lr=lr)


def falling(optimizer, epochs, *, factor: float = 0.5) -> ExponentialLR:
    return ExponentialLR(optimizer, gamma=factor)


@dataclass(kw_only=True)
class Read(OneStage):
    """One stage that reads the validation labels."""

    rounds: int = 2
    reads = ("val",)
'''


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which ``debias`` is called, with a user's modules."""
    (tmp_path / "my_method.py").write_text(METHOD)
    (tmp_path / "my_others.py").write_text(OTHERS)
    (tmp_path / "my_broken.py").write_text("import a_module_that_is_absent\n")
    package = tmp_path / "my_package" / "deep"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text(
        "from my_package.deep.methods import Mine\n__version__ = '2.1'\n"
    )
    (package.parent / "__main__.py").write_text("raise SystemExit('imported')\n")
    (package / "__init__.py").touch()
    (package / "methods.py").write_text(METHOD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(tmp_path))])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("my_"):
            del sys.modules[name]


def refusal(kind: str, **section: object) -> str:
    with pytest.raises(InputError) as error:
        components.component(kind, section)
    return str(error.value)


def test_an_own_strategy_is_found_and_its_options_are_checked(here):
    made = components.component("strategy", {"name": "my_method:Mine", "rate": 1})
    assert made.make.__name__ == "Mine"
    assert made.options == {"rate": 1.0}
    assert "did you mean 'rate'" in refusal("strategy", name="my_method:Mine", rat=1)
    assert "strategy.rate must be a number" in refusal(
        "strategy", name="my_method:Mine", rate="fast"
    )
    assert components.component("strategy", {"name": "my_method:Mine", "width": [1]}).options == {
        "width": [1]
    }
    assert components.needs(made.make) == ("bias",)
    assert components.reads("strategy", "my_method:Mine") == ("train labels",)


def test_an_own_function_is_built_from_facts_and_options(here):
    sampler = components.construct("sampler", {"name": "my_method:backwards"}, {"row": range(3)})
    assert isinstance(sampler, Order)
    assert len(sampler) == 6


def test_parts_of_every_kind_are_built(here):
    construct = components.construct
    optimizer = construct(
        "optimizer",
        {"name": "my_others:signs", "lr": 1},
        {"parameters": [torch.nn.Parameter(torch.zeros(2))]},
    )
    assert optimizer.param_groups[0]["lr"] == 1.0
    facts = {"optimizer": optimizer, "epochs": 3}
    scheduler = construct("scheduler", {"name": "my_others:falling", "factor": 0.25}, facts)
    assert scheduler.gamma == 0.25
    assert construct("preprocessing", {"name": "my_others:tiny"}, {}).evaluation.width == 8
    assert (
        list(construct("augment", {"name": "my_others:Same"}, {"groups": None}).parameters()) == []
    )
    assert construct("recipe", {"name": "my_others:Read", "rounds": "3"}, {}).rounds == 3
    assert components.reads("recipe", "my_others:Read") == ("val labels",)


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        (
            "strategy",
            "my_methd:Mine",
            "strategy.name=my_methd:Mine: there is no module 'my_methd': is it installed, or in "
            "this folder ({here})?",
        ),
        ("strategy", "my_package.shallow:Mine", "there is no module 'my_package.shallow'"),
        ("strategy", "my_method.deep:Mine", "there is no module 'my_method.deep'"),
        ("strategy", "my_method:mine", "my_method.py has no 'mine'; did you mean 'Mine'?"),
        ("strategy", "my_method.Mine", "; your own part has the name my_method:Mine"),
        ("strategy", "my/method.py:Mine", "'my/method.py' is not the name of a module"),
        ("strategy", ":Mine", "'' is not the name of a module"),
        ("strategy", "my_method:", "must be MODULE:OBJECT"),
        ("strategy", "my_method:Mine.loss", "must be MODULE:OBJECT"),
        (
            "strategy",
            "my_method:backwards",
            "must be a subclass of debias.strategies.strategy.Strategy; it is a function that "
            "returns Order",
        ),
        ("strategy", "my_method:numbers", "it is a function"),
        ("strategy", "my_method:rate", "it is an object of int"),
        ("augment", "my_method:Mine", "it is the class Mine"),
        (
            "sampler",
            "my_method:count",
            "must be a function or class that makes debias.data.orders.Order",
        ),
        (
            "strategy",
            "my_method:Forgot",
            "its positional argument 'rate' is no fact of the run: write it after *",
        ),
        ("strategy", "my_method:Unresolved", "import it at run time, not only under"),
    ],
)
def test_a_mistake_in_a_name_is_one_line(here, kind, name, message):
    assert message.format(here=here) in refusal(kind, name=name)


def test_what_a_function_returns_is_checked(here):
    with pytest.raises(InputError, match=r"must return debias.data.orders.Order; it returned list"):
        components.construct("sampler", {"name": "my_method:numbers"}, {"row": range(3)})


def test_an_error_inside_the_module_is_no_user_mistake(here):
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_absent"):
        components.find("strategy", "my_broken:Mine")


def test_installed_modules_come_before_those_of_the_folder(here):
    (here / "json.py").write_text("raise RuntimeError\n")
    components.find("strategy", "my_method:Mine")
    assert sys.path[-1] == str(here)
    assert sys.path.count(str(here)) == 1


def test_names_of_runs_have_the_name_without_its_module(here):
    own = configs.load("drawn_birds", ["strategy.name=my_method:Mine", "data.name=my_data:cats"])
    other = configs.load("drawn_birds", ["strategy.name=my_copy:Mine", "data.name=my_data:cats"])
    assert configs.method_name(own) == "Mine"
    assert configs.run_name(own).startswith("cats-Mine-seed0-")
    assert configs.identity(own) != configs.identity(other)


def test_own_data_are_squeezed_by_default_like_other_own_images(here, tmp_path):
    (tmp_path / "own.yaml").write_text("data: {name: my_data:cats}\n")
    assert configs.load("own.yaml").preprocessing == {"name": "resize"}


def test_the_origin_of_a_part(here):
    """Also of a part that this process has not used yet, as a recipe in `debias evaluate`."""
    origin = own_parts.origin
    expected = {"name": "my_package:Mine", "package": None, "version": "2.1"}
    before = origin("my_package:Mine")
    assert {key: before[key] for key in expected} == expected
    (here / "my_package" / "deep" / "methods.py").write_text(METHOD + "\n")
    assert origin("my_package:Mine")["sha256"] != before["sha256"]
    assert origin("debias.strategies.erm:ERM")["package"] == "debias-vision"


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["list", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_list_shows_what_a_module_defines(here, capsys):
    lines = listed(capsys, "strategies", "my_method")
    names = [line.partition(": ")[0] for line in lines if not line.startswith(" ")]
    assert sorted(names) == [
        *("my_method:Forgot", "my_method:Mine", "my_method:Silent", "my_method:Unresolved"),
        "my_method:backwards",
    ]
    start = lines.index("my_method:Mine: Weigh groups in a way of one's own.")
    assert lines[start + 1 : start + 9] == [
        "    strategy.name=my_method:Mine",
        "    needs bias",
        "    strategy.rate=0.5 (float)",
        "    strategy.width=null (any type)",
        "    reads: train labels",
        "    labels: any",
        "    stages: 1",
        "    beside the model: -",
    ]
    assert "my_method:Silent: (no docstring)" in lines
    assert listed(capsys, "samplers", "my_method") == [
        "my_method:backwards: Visit the samples from the last to the first.",
        "    sampler.name=my_method:backwards",
        "    sampler.repeats=2 (int)",
    ]


def test_list_shows_one_part_and_those_of_a_whole_package(here, capsys):
    (one, *_) = listed(capsys, "strategies", "my_package:Mine")
    assert one == "my_package:Mine: Weigh groups in a way of one's own."
    lines = listed(capsys, "samplers", "my_package")
    assert lines[0].startswith("my_package.deep.methods:backwards: ")
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("samplers", "my_package:Mine"), "sampler.name=my_package:Mine must be a function or"),
        (("strategies", "my_methd:Mine"), "there is no module 'my_methd'"),
        (("datasets", "my_method"), "module my_method defines nothing for `debias list datasets`"),
        (("samplers", "grup_balanced"), "did you mean 'group_balanced'"),
    ],
)
def test_list_tells_what_is_wrong(here, capsys, arguments, message):
    assert main(["list", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_facts_of_the_page_are_those_that_are_passed():
    page = (Path(__file__).parents[1] / "docs" / "configuration.md").read_text(encoding="utf-8")
    table = page[page.index("## Your own parts") :].partition("\n## ")[0]
    rows = [line.strip("|").split(" |") for line in table.splitlines() if line.startswith("| `")]
    facts = {re.findall(r"`(\w+)`", row[0])[0]: re.findall(r"`(\w+)`", row[2]) for row in rows}
    assert sorted(facts["strategy"]) == sorted(own_parts.FACTS["strategy"])
    assert facts["optimizer"] == list(own_parts.FACTS["optimizer"])
    assert facts["scheduler"] == list(own_parts.FACTS["scheduler"])
    assert {*facts, "model"} == set(own_parts.MADE)
