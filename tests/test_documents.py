"""What the README and docs tell a reader to type works, and what they name is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from debias.__main__ import parser
from debias.components import TABLES
from debias.config import folder, load, shipped

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def _blocks(language: str) -> list[tuple[str, str]]:
    fence = re.compile(rf"^```{language}\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    return [(path.name, block) for path in DOCUMENTS for block in fence.findall(path.read_text(encoding="utf-8"))]


def _commands() -> list[list[str]]:
    lines = [line for _, block in _blocks("bash") for line in block.splitlines() if line.startswith("debias ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.mark.parametrize("code", [pytest.param(code, id=name) for name, code in _blocks("python") if "import" in code])
def test_python_runs(code: str) -> None:
    exec(compile(code, "document", "exec"), {})


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
def test_commands_are_understood(command: list[str]) -> None:
    """The command line parses, and a shipped config takes the overrides."""
    options = vars(parser().parse_args(command))
    if options.get("config") in shipped():
        load(options["config"], [item for item in options["overrides"] if not item.startswith("resume=")])


def test_readme_names_every_component() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for kind in ("data", "strategy", "sampler"):
        assert [name for name in TABLES[kind] if f"`{name}`" not in readme] == []


def test_configuration_page_names_every_component() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    for kind, table in TABLES.items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{kind}` |"))
        assert re.findall(r"`(\w+)`", row)[1:] == list(table)


def test_links_lead_somewhere() -> None:
    links = re.findall(
        r"\]\((?!https?:|#)([^)#]+)\)", "".join(path.read_text(encoding="utf-8") for path in DOCUMENTS[:2])
    )
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_dependency_has_a_reason() -> None:
    """Each requirement of setup.cfg has a row under "Dependencies", and a bound that is written there too."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = "\n".join(line for line in page.splitlines() if line.startswith("| "))
    required = re.findall(
        r"^    ([a-z][a-z0-9-]+)((?:[<>!=]=?[^,\n]+,?)+)$", (ROOT / "setup.cfg").read_text(), re.MULTILINE
    )
    assert len(required) > 15
    for name, bounds in required:
        assert name in rows, f"{name} has no row"
        for bound in bounds.split(","):
            assert bound in rows or "lower only" in next(row for row in rows.splitlines() if name in row), (name, bound)


def test_the_package_holds_the_configs() -> None:
    """A wheel carries what lies under debias/: the configs are linked there, and package data names them."""
    assert folder() == ROOT / "debias" / "configs"
    found = {path.relative_to(ROOT / "configs") for path in (ROOT / "configs").rglob("*") if path.is_file()}
    pattern = re.search(r"configs/\*\*/\*(\.\w+)", (ROOT / "setup.cfg").read_text())
    assert pattern is not None
    assert found
    assert {path.suffix for path in found} == {pattern[1]}
    assert all((folder() / path).is_file() for path in found)
