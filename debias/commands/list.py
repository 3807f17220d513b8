"""``debias list``: list components, metrics and configs, with their meaning and needs."""

from __future__ import annotations

import fnmatch
import inspect
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, get_type_hints

from debias import components, own_parts, shipped_configs
from debias import config as configs
from debias.commands.data import list as data_list
from debias.errors import InputError, near
from debias.methods import METHODS, method
from debias.metrics.families import FAMILIES
from debias.presets import is_preset
from debias.reports.tables import text_table
from debias.signatures import option_types

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
    *("reads", "labels", "stages", "beside the model", "cost", "paper", "checked against"),
    *("Waterbirds", "CelebA", "printed in"),
)
LEGEND = """
reads: bias labels, or masks, that the method itself reads at its default options; with
  select=worst_group or balanced, a run reads the labels of validation too (select=auto is
  worst_group where there are such labels)
labels: whether images have "one" class, "several" labels, or "any" of both
cost: of a training step, where ERM's is 1 and its forward pass 1/3; g is a step of the biased
  network
Waterbirds, CelebA: published accuracy of the worst group in percent, "-" where none was checked;
  settings differ
debias list strategies NAME prints meaning and options; NAME may be a pattern such as 'group*', your
  own module or package (my_method), or one of its classes (my_method:MyStrategy)"""


def run(what: str, pattern: str) -> None:
    """Print one line per component and per option; for all strategies, print a table.

    Args:
        what: what to list, such as "configs".
        pattern: names to list, such as "waterbirds/*"; "*" lists all. For components, also a user's
            own part "module:object", or a module whose parts are listed.

    Raises:
        ValueError: no name matches the pattern; the message suggests similar names.
    """
    if what == "strategies":
        _print_methods(pattern)
    elif what == "datasets" and pattern not in components.TABLES["data"] and is_preset(pattern):
        data_list.run(pattern, [])
    elif what in KINDS:
        for kind, name in _listed(what, (KINDS[what],), pattern):
            _print_component(kind, name)
        if what == "datasets":
            _print_noise()
    elif what == "configs":
        _print_configs(pattern)
    elif what == "metrics":
        _print_metrics(pattern)
    elif own_parts.is_own(pattern):
        _print_component("model", pattern)
    else:
        _print_models(pattern)


def _listed(what: str, kinds: Sequence[str], pattern: str) -> list[tuple[str, str]]:
    """Kind and name of our components that match a pattern, or of the user's own parts."""
    if own_parts.is_own(pattern):
        return [(own_parts.kind_of(kinds, pattern), pattern)]
    every = [(kind, name) for kind in kinds for name in components.TABLES[kind]]
    names = [name for _, name in every]
    if not fnmatch.filter(names, pattern) and own_parts.is_module(pattern):
        return _own(what, kinds, pattern)
    matching = _matching(what, pattern, names)
    return [pair for pair in every if pair[1] in matching]


def _own(what: str, kinds: Sequence[str], module: str) -> list[tuple[str, str]]:
    found = [(kind, place) for kind in kinds for place in own_parts.parts_in(kind, module)]
    if not found:
        classes = " or ".join(own_parts.MADE[kind].replace(":", ".") for kind in kinds)
        raise InputError(
            f"module {module} defines nothing for `debias list {what}`: define a subclass of "
            f"{classes}, or a function that is annotated to return one"
        )
    return found


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
        families = [(name, _labels_measured(name)) for name in FAMILIES]
        print("\n".join(text_table(("measures", "labels"), families, words=2)), end="\n\n")
        print(LEGEND.strip())
        return
    for kind, name in _listed("strategies", tuple(METHODS), pattern):
        _print_component(kind, name)
        for column, cell in zip(COLUMNS, _row(kind, name)[1:], strict=True):
            print(f"    {column}: {cell}")


def labels_taken(kind: str, name: str) -> str:
    """Whether a method takes images of "one" class, of "several" labels, or "any" of both."""
    make = components.find(kind, name)
    if getattr(make, "several_labels", False):
        return "several"
    if kind == "recipe":
        return "any" if make.takes_labels else "one"
    if inspect.isclass(make):
        return "one" if getattr(make, "single_label", False) else "any"
    types = get_type_hints(make, include_extras=True).values()
    return "one" if components.imported("debias.data.orders:OneEach") in types else "any"


def _labels_measured(family: str) -> str:
    """What targets a family of measures needs."""
    needs = FAMILIES[family].needs
    return "one" if "one label" in needs else "several" if "labels" in needs else "any"


def _row(kind: str, name: str) -> tuple[str, ...]:
    facts = method(kind, name)
    inferred = [f"infers {split}" for split in components.infers(kind, name)]
    reads = ", ".join([*components.reads(kind, name), *inferred])
    labels = labels_taken(kind, name)
    cells = (reads, labels, facts.stages, facts.networks, facts.cost, facts.paper, facts.checked)
    return (name, *(cell or "-" for cell in (*cells, *facts.published)))


def _print_component(kind: str, name: str) -> None:
    component = components.find(kind, name)
    # not inspect.getdoc, which would give the docstring of a base class
    meaning = inspect.cleandoc(component.__doc__ or "(no docstring)").partition("\n")[0]
    print(f"{name}: {meaning}")
    if own_parts.is_own(name):
        print(f"    {kind}.name={name}")
    if needs := components.needs(component):
        print(f"    needs {', '.join(needs)}")
    types = option_types(component)
    for option, default in components.options(component).items():
        print(f"    {kind}.{option}={_default(default, types[option] or 'any type')}")


def _print_noise() -> None:
    """Print the options that every data set has beside its own."""
    options = components.options(components.imported(components.NOISE))
    print(f"every data set also has: {', '.join(f'data.{option}' for option in options)}")


def _default(default: Any, kind: str) -> str:
    if default is inspect.Parameter.empty:
        return f"... ({kind}, no default)"
    return f"{'null' if default is None else default} ({kind})"


def _print_metrics(pattern: str) -> None:
    from debias.metrics.descriptions import DESCRIPTIONS

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
    for name in _matching("configs", pattern, shipped_configs.names()):
        lines = (shipped_configs.folder() / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
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
