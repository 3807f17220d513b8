"""``debias list``: list components, metrics and configs, with their meaning and needs."""

from __future__ import annotations

import fnmatch
import inspect
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from debias import components
from debias import config as configs
from debias.errors import InputError, near
from debias.methods import METHODS
from debias.reports.tables import text_table

if TYPE_CHECKING:
    from debias.metrics.descriptions import Description

KINDS = {
    "samplers": "sampler",
    "datasets": "data",
    "preprocessings": "preprocessing",
    "optimizers": "optimizer",
    "schedulers": "scheduler",
}
COLUMNS = (
    *("reads", "stages", "beside the model", "cost", "paper", "checked against"),
    *("Waterbirds", "CelebA", "printed in"),
)
LEGEND = """
reads: bias labels, or masks, that the method itself reads at its default options; with
  select=worst_group or balanced, a run reads the labels of validation too (select=auto is
  worst_group where there are such labels)
cost: of a training step, where ERM's is 1 and its forward pass 1/3; g is a step of the biased
  network
Waterbirds, CelebA: published accuracy of the worst group in percent, "-" where none was checked;
  settings differ
debias list strategies NAME prints meaning and options; NAME may be a pattern such as 'group*'"""


def run(what: str, pattern: str) -> None:
    """Print one line per component and per option; for all strategies, print a table.

    Args:
        what: what to list, such as "configs".
        pattern: names to list, such as "waterbirds/*"; "*" lists all.

    Raises:
        ValueError: no name matches the pattern; the message suggests similar names.
    """
    if what == "strategies":
        _print_methods(pattern)
    elif what in KINDS:
        for name in _matching(what, pattern, components.TABLES[KINDS[what]]):
            _print_component(KINDS[what], name)
    elif what == "configs":
        _print_configs(pattern)
    elif what == "metrics":
        _print_metrics(pattern)
    else:
        _print_models(pattern)


def _matching(what: str, pattern: str, names: Iterable[str]) -> list[str]:
    names = list(names)
    found = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
    if not found:
        hint = near(pattern, names, f"debias list {what}")
        kind = "strategy or recipe" if what == "strategies" else what.removesuffix("s")
        raise InputError(f"no {kind} matches {pattern!r}; {hint}")
    return found


def _print_methods(pattern: str) -> None:
    if pattern == "*":
        for kind, methods in METHODS.items():
            rows = [_row(kind, name) for name in methods]
            table = text_table((kind, *COLUMNS), rows, words=1 + len(COLUMNS))
            print("\n".join(table), end="\n\n")
        print(LEGEND.strip())
        return
    every = [(kind, name) for kind, methods in METHODS.items() for name in methods]
    matching = _matching("strategies", pattern, [name for _, name in every])
    for kind, name in [pair for pair in every if pair[1] in matching]:
        _print_component(kind, name)
        for column, cell in zip(COLUMNS, _row(kind, name)[1:], strict=True):
            print(f"    {column}: {cell}")


def _row(kind: str, name: str) -> tuple[str, ...]:
    method = METHODS[kind][name]
    inferred = [f"infers {split}" for split in components.infers(kind, name)]
    reads = ", ".join([*components.reads(kind, name), *inferred])
    cells = (reads, method.stages, method.networks, method.cost, method.paper, method.checked)
    return (name, *(cell or "-" for cell in (*cells, *method.published)))


def _print_component(kind: str, name: str) -> None:
    component = components.find(kind, name)
    meaning = (inspect.getdoc(component) or "").partition("\n")[0]
    print(f"{name}: {meaning}")
    if needs := components.needs(component):
        print(f"    needs {', '.join(needs)}")
    for option, default in components.options(component).items():
        print(f"    {kind}.{option}{_default(default)}")


def _default(default: Any) -> str:
    if default is inspect.Parameter.empty:
        return "=... (no default)"
    return f"={'null' if default is None else default}"


def _print_metrics(pattern: str) -> None:
    from debias.metrics.descriptions import DESCRIPTIONS
    from debias.metrics.families import FAMILIES

    families = {key: family.numbers for key, family in FAMILIES.items()}
    every = [name for numbers in (DESCRIPTIONS, *families.values()) for name in numbers]
    matching = _matching("metrics", pattern, every)
    for name in filter(matching.__contains__, DESCRIPTIONS):
        print(_explained(name, DESCRIPTIONS[name]))
    for key, family in FAMILIES.items():
        if found := list(filter(matching.__contains__, family.numbers)):
            print(f"\n{family.title} (measures.{key}): {family.meaning}")
            print("\n".join(_explained(name, family.numbers[name]) for name in found))


def _explained(name: str, description: Description) -> str:
    hints = [] if math.isnan(description.ideal) else [f"ideal {description.ideal:g}"]
    hints += [f"{description.better} is better"] if description.better else []
    text = f"{name}: {description.title}. {description.meaning}"
    return f"{text} {', '.join(hints).capitalize()}." if hints else text


def _print_configs(pattern: str) -> None:
    for name in _matching("configs", pattern, configs.shipped()):
        lines = (configs.folder() / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
        comment = " ".join(line.removeprefix("#").strip() for line in lines if line.startswith("#"))
        print(f"{name}: {comment or _components(name)}")


def _components(name: str) -> str:
    """Strategy and sampler of a config, only for configs without comment, as loading is slow."""
    loaded = configs.load(name)
    return f"{loaded.strategy['name']} + {loaded.sampler['name']}"


def _print_models(pattern: str) -> None:
    import timm

    names = timm.list_models(pattern)
    if not names:
        hint = near(pattern, timm.list_models())
        raise InputError(f"no model of timm matches {pattern!r}; {hint}")
    print("\n".join(names))
    print(
        f"{len(names)} models of timm match {pattern!r}; model.name=NAME, or NAME.TAG for its "
        "weights"
    )
