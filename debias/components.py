"""Names to components: the only place that compares a component's name, and a few explicit tables.

Each entry is "module:object", imported when it is asked for, so that listing names loads nothing. A
component's positional arguments are facts of the data or the model, given here by name; its
keyword-only arguments are its options.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import field, make_dataclass
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from debias.errors import InputError, check_finite, near
from debias.merging import MISSING, converted
from debias.methods import METHODS

TABLES: dict[str, dict[str, str]] = {
    **{
        kind: {name: method.object for name, method in methods.items()}
        for kind, methods in METHODS.items()
    },
    "data": {
        "waterbirds": "debias.data.sets.waterbirds:waterbirds",
        "celeba": "debias.data.sets.celeba:celeba",
        "table": "debias.data.sets.table:table",
        "folder": "debias.data.sets.folder:folder",
        "drawn_birds": "debias.data.sets.drawn_birds:drawn_birds",
        "biased_mnist": "debias.data.sets.biased_mnist:biased_mnist",
    },
    "preprocessing": {
        name: f"debias.data.pictures.preprocessing:{name}"
        for name in (
            *("waterbirds", "waterbirds_augmented", "celeba", "celeba_augmented"),
            *("celeba_augmented_square", "resize", "resize_augmented", "shorter_side"),
        )
    },
    "optimizer": {
        "sgd": "debias.training.optimizers:sgd",
        "adam": "debias.training.optimizers:adam",
        "adamw": "debias.training.optimizers:adamw",
    },
    "scheduler": {
        "constant": "debias.training.optimizers:constant",
        "cosine": "debias.training.optimizers:cosine",
        "step": "debias.training.optimizers:step",
    },
}

#: What a requirement of a class is called where a method says what it reads.
_READ = {"bias": "train labels", "some bias": "some train labels", "mask": "masks"}
#: What the facts that a sampler asks for mean for the data.
SAMPLED = {"group": "bias", "bias": "bias", "inferred": "inferred groups"}


def find(kind: str, name: str) -> Callable[..., Any]:
    """The component of one kind that has a name.

    Raises:
        ValueError: there is none; the message names the nearest.
    """
    table = TABLES[kind]
    if not isinstance(name, str) or name not in table:
        raise InputError(f"unknown {kind}.name {name!r}; {near(str(name), table)}")
    module, _, attribute = table[name].partition(":")
    component: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return component


def construct(kind: str, section: Mapping[str, Any], facts: Mapping[str, Any]) -> Any:
    """Build the component that a config section names, from its options and the facts it asks for.

    Args:
        kind: a key of ``TABLES``.
        section: ``{"name": ..., option: value, ...}``.
        facts: what its positional arguments may ask for, by name.

    Raises:
        ValueError: an unknown name or option, a wrong type, or whatever the component refuses.
    """
    component = find(kind, section["name"])
    options = {key: value for key, value in section.items() if key != "name"}
    return call(component, kind, options, facts)


def call(
    component: Callable[..., Any],
    section: str,
    options: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> Any:
    """Call a component with checked options and the facts that its positional arguments name."""
    checked = check_options(component, section, options)
    parameters = inspect.signature(component).parameters.values()
    positional = [
        facts[item.name] for item in parameters if item.kind is item.POSITIONAL_OR_KEYWORD
    ]
    return component(*positional, **checked)


def required_facts(kind: str, name: str, meanings: Mapping[str, str]) -> tuple[str, ...]:
    """What a component's facts mean for the data: ``meanings`` maps each to a requirement."""
    asked = inspect.signature(find(kind, name)).parameters
    return tuple(meaning for fact, meaning in meanings.items() if fact in asked)


def reads(kind: str, name: str) -> tuple[str, ...]:
    """What a method reads beside images and classes, at its default options.

    Returns:
        Some of "train labels", "some train labels" and "val labels", of the bias attribute, and
        "masks".
    """
    if kind == "recipe":
        return tuple(f"{split} labels" for split in find(kind, name)().reads)
    required = getattr(find(kind, name), "requires", ())
    if kind == "sampler":
        required = dict.fromkeys(required_facts(kind, name, SAMPLED))
    return tuple(_READ[item] for item in required if item in _READ)


def infers(kind: str, name: str) -> tuple[str, ...]:
    """Splits whose groups a recipe infers by itself; none for other kinds."""
    return tuple(find(kind, name)().infers) if kind == "recipe" else ()


def check_options(
    component: Callable[..., Any], section: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Options as the keyword-only arguments of a component want them: known names, right types.

    Raises:
        ValueError: an unknown option, with the nearest valid one; a wrong type; a missing option
            without default; NaN or infinity.
    """
    schema = _schema(component)
    valid = schema.__dataclass_fields__
    for key in options:
        if key not in valid:
            raise InputError(
                f"unknown option {section}.{key}; "
                f"{near(key, valid) if valid else 'it has no options'}"
            )
    try:
        checked = {key: converted(schema, key, value) for key, value in options.items()}
    except InputError as error:
        raise InputError(f"{section}.{error}") from error
    missing = sorted(key for key in valid if checked.get(key, valid[key].default) == MISSING)
    if missing:
        raise InputError(f"{section} needs {', '.join(missing)}: add {section}.{missing[0]}=...")
    check_finite(section, checked)
    return checked


def options(component: Callable[..., Any]) -> dict[str, Any]:
    """The options of a component and their defaults, ``inspect.Parameter.empty`` for none."""
    return {item.name: item.default for item in _keyword_only(component)}


def _keyword_only(component: Callable[..., Any]) -> list[inspect.Parameter]:
    return [
        item
        for item in inspect.signature(component).parameters.values()
        if item.kind is item.KEYWORD_ONLY
    ]


@cache
def _schema(component: Callable[..., Any]) -> Any:
    hints = get_type_hints(component.__init__ if inspect.isclass(component) else component)
    fields = [
        (item.name, _plain(hints[item.name]), _default(item)) for item in _keyword_only(component)
    ]
    return make_dataclass("Options", fields)


def _plain(hint: Any) -> Any:
    return Union[get_args(hint)] if get_origin(hint) is UnionType else hint  # noqa: UP007 - omegaconf reads no "|"


def _default(parameter: inspect.Parameter) -> Any:
    default = MISSING if parameter.default is parameter.empty else parameter.default
    if isinstance(default, (list, tuple)):
        return field(default_factory=lambda: list(default))
    return field(default=default)
