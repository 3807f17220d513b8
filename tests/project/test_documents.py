"""What the README and docs tell a reader to type works, and what they name is there."""

import json
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from debias.__main__ import LISTS, parser
from debias.components import TABLES, fact_names, find
from debias.config import EXECUTION, SECTIONS, Config, load
from debias.models.small_receptive import NETWORKS
from debias.shipped_configs import folder
from debias.shipped_configs import names as shipped
from debias.strategies.strategy import Strategy

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def _blocks(language: str) -> list[tuple[str, str]]:
    fence = re.compile(rf"^```{language}\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    return [
        (path.name, block)
        for path in DOCUMENTS
        if path.parent.name != "tutorials"  # which tests/project/test_tutorials.py runs
        for block in fence.findall(path.read_text(encoding="utf-8"))
    ]


def _page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def _rows(page: str, first: str) -> Iterator[dict[str, str]]:
    """The rows of every table with a headed first column, by headings; codes may hold no bar."""
    for table in re.findall(r"(?:^\|.*\|\n)+", page, re.MULTILINE):
        heading, _, *lines = (
            [cell.strip() for cell in line.strip("|").split(" |")] for line in table.splitlines()
        )
        if heading[0] == first:
            yield from (dict(zip(heading, cells, strict=True)) for cells in lines)


def _named(page: str, first: str) -> dict[str, dict[str, str]]:
    """The rows, by each of the names in their first cell."""
    return {
        name: row for row in _rows(page, first) for name in re.findall(r"`([^`]+)`", row[first])
    }


def _commands() -> list[list[str]]:
    lines = [
        line
        for _, block in _blocks("bash")
        for line in block.splitlines()
        if line.startswith("debias ")
    ]
    commands = [shlex.split(line, comments=True)[1:] for line in lines]
    return [command for command in commands if command[-1] != "--help"]  # it ends the process


@pytest.mark.parametrize(
    "code", [pytest.param(code, id=name) for name, code in _blocks("python") if "import" in code]
)
def test_python_runs(code: str) -> None:
    """The README's lines go into a loop that is there: a model, an optimiser and batches."""
    model = torch.nn.Linear(3, 2)
    batch = torch.randn(8, 3), torch.arange(8) % 2, torch.arange(8) // 4
    loop = {"model": model, "optimizer": torch.optim.SGD(model.parameters()), "loader": [batch]}
    exec(compile(code, "document", "exec"), loop)


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
def test_commands_are_understood(command: list[str]) -> None:
    """The command line parses, and a shipped config takes the overrides."""
    options = vars(parser().parse_args(command))
    if options.get("config") in shipped():
        load(
            options["config"],
            [item for item in options["overrides"] if not item.startswith("resume=")],
        )


def test_the_tables_of_the_pages_are_those_of_the_table_of_methods() -> None:
    tables = runpy.run_path(str(ROOT / "scripts" / "tables.py"))
    assert tables["main"](["--check"]) == 0


def test_every_data_set_is_explained() -> None:
    pages = "".join([_page("data.md"), *map(Path.read_text, (ROOT / "docs/data").glob("*.md"))])
    assert [name for name in TABLES["data"] if not re.search(rf"\bname: {name}\b", pages)] == []
    assert set(_named((ROOT / "README.md").read_text(encoding="utf-8"), "data set")) == set(
        TABLES["data"]
    )


def test_the_tutorial_has_every_argument_of_a_strategy() -> None:
    strategies = [find("strategy", name) for name in TABLES["strategy"]]
    page = _page("tutorials/strategy_in_a_lightning_module.md")
    assert set(_named(page, "argument")) == set().union(*map(fact_names, strategies))
    larger = {
        strategy.__name__
        for strategy in strategies
        if strategy.model_outputs is not Strategy.model_outputs
    }
    assert set(re.findall("Domain[A-Z][a-z]+", page)) == larger


def test_models_page_names_every_network_of_its_own() -> None:
    assert list(_named(_page("models.md"), "name")) == list(NETWORKS)


def test_configuration_page_has_every_key_with_its_default() -> None:
    """The sections in one table, the other keys in another; all that may differ is named."""
    page = _page("configuration.md")
    assert set(_named(page, "section")) == set(SECTIONS)
    rows, defaults = _named(page, "key"), vars(Config())
    assert set(rows) == set(defaults) - set(SECTIONS)
    for name, row in rows.items():
        # which the program gives, and which is a section of its own
        if name not in (
            "name",
            "groups",
        ):
            assert row["default"].strip("`") == json.dumps(defaults[name]).strip('"'), name
    assert all(f"`{name}`" in page[page.index("## Resuming") :] for name in EXECUTION)


def test_configuration_page_names_every_listing() -> None:
    assert {
        name.split()[0] for name in _named(_page("configuration.md"), "`debias list ...`")
    } == set(LISTS)


def _anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """To files that are there and headings they have, and each has a meaning outside Sphinx."""
    links = re.findall(
        r"\[([^\]]*)\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", page.read_text(encoding="utf-8")
    )
    for text, name, anchor in links:
        target = page.parent / name if name else page
        assert text, f"a link to {name} has no text"
        assert target.exists(), name
        assert not anchor or anchor in _anchors(target), f"{name}#{anchor}"


def test_every_dependency_has_a_reason() -> None:
    """Each requirement of setup.cfg has a row under "Dependencies", and so has each bound."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = "\n".join(line for line in page.splitlines() if line.startswith("| "))
    required = re.findall(
        r"^[ \t]+([a-z][a-z0-9-]+)((?:[<>!=]=?[^,\n]+,?)+)$",
        (ROOT / "setup.cfg").read_text(),
        re.MULTILINE,
    )
    assert len(required) > 15
    for name, bounds in required:
        assert name in rows, f"{name} has no row"
        for bound in bounds.split(","):
            assert bound in rows or "lower only" in next(
                row for row in rows.splitlines() if name in row
            ), (name, bound)


def test_the_package_holds_the_configs() -> None:
    """A wheel carries what lies under debias/: configs are linked there, package data names all."""
    assert folder() == ROOT / "debias" / "configs"
    found = {
        path.relative_to(ROOT / "configs")
        for path in (ROOT / "configs").rglob("*")
        if path.is_file()
    }
    pattern = re.search(r"configs/\*\*/\*(\.\w+)", (ROOT / "setup.cfg").read_text())
    assert pattern is not None
    assert found
    assert {path.suffix for path in found} == {pattern[1]}
    assert all((folder() / path).is_file() for path in found)
