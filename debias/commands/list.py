"""``debias list``: what there is, what it is, and what it needs."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any

from debias import components
from debias import config as configs

if TYPE_CHECKING:
    from debias.metrics.descriptions import Description

KINDS = {
    "strategies": "strategy",
    "samplers": "sampler",
    "datasets": "data",
    "preprocessings": "preprocessing",
    "optimizers": "optimizer",
    "schedulers": "scheduler",
}


def run(what: str, pattern: str) -> None:
    """Print one line per thing, and one per option."""
    if what in KINDS:
        for name in components.TABLES[KINDS[what]]:
            _print_component(KINDS[what], name)
    elif what == "configs":
        _print_configs()
    elif what == "metrics":
        _print_metrics()
    else:
        _print_models(pattern)


def _print_component(kind: str, name: str) -> None:
    component = components.find(kind, name)
    meaning = (inspect.getdoc(component) or "").partition("\n")[0]
    print(f"{name}: {meaning}")
    needs = [*getattr(component, "requires", ()), *components.required_facts(kind, name, {"group": "bias"})]
    if needs:
        print(f"    needs {', '.join(needs)}")
    for option, default in components.options(component).items():
        print(f"    {kind}.{option}{_default(default)}")


def _default(default: Any) -> str:
    return "=... (no default)" if default is inspect.Parameter.empty else f"={'null' if default is None else default}"


def _print_metrics() -> None:
    from debias.metrics.descriptions import DESCRIPTIONS
    from debias.metrics.families import FAMILIES

    for name, description in DESCRIPTIONS.items():
        print(_explained(name, description))
    for key, family in FAMILIES.items():
        print(f"\n{family.title} (measures.{key}): {family.meaning}")
        for name, description in family.descriptions.items():
            print(_explained(name, description))


def _explained(name: str, description: Description) -> str:
    told = [] if math.isnan(description.ideal) else [f"ideal {description.ideal:g}"]
    told += [f"{description.better} is better"] if description.better else []
    text = f"{name}: {description.title}. {description.meaning}"
    return f"{text} {', '.join(told).capitalize()}." if told else text


def _print_configs() -> None:
    for name in configs.shipped():
        comments = (configs.folder() / f"{name}.yaml").read_text().splitlines()
        said = " ".join(line.removeprefix("#").strip() for line in comments if line.startswith("#"))
        loaded = configs.load(name)
        print(f"{name}: {said or ' + '.join((loaded.strategy['name'], loaded.sampler['name']))}")


def _print_models(pattern: str) -> None:
    import timm

    names = timm.list_models(pattern)
    print("\n".join(names))
    print(f"{len(names)} models of timm match {pattern!r}; model.name=NAME, or NAME.TAG for its weights")
