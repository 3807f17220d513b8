"""Signatures of components: which arguments are facts, and the types and defaults of options.

Positional arguments are facts of the data or the model. Keyword-only arguments are options. If the
default of one is a dataclass, it is a bundle: the fields are options, beside the others. Components
then share options whose meaning is written once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import field, is_dataclass, make_dataclass, replace
from functools import cache
from types import SimpleNamespace, UnionType
from typing import Any, Optional, Union, get_args, get_origin, get_type_hints

from debias.errors import InputError
from debias.merging import MISSING


def fact_names(component: Callable[..., Any]) -> list[str]:
    """Names of a component's positional arguments, which are names of facts."""
    parameters = inspect.signature(component).parameters.values()
    return [item.name for item in parameters if item.kind is item.POSITIONAL_OR_KEYWORD]


def option_parameters(component: Callable[..., Any]) -> list[inspect.Parameter]:
    """The options of a component, with defaults and annotations."""
    own = [item for item in _keyword_only(component) if not is_dataclass(item.default)]
    shared = [
        item.replace(default=getattr(bundle, item.name))
        for bundle in _bundles(component).values()
        for item in _keyword_only(type(bundle))
    ]
    return own + shared


def arguments(component: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of a component, in which the options of each bundle are gathered."""
    found = dict(options)
    for name, bundle in _bundles(component).items():
        fields = [item.name for item in _keyword_only(type(bundle)) if item.name in found]
        found[name] = replace(bundle, **{field: found.pop(field) for field in fields})
    return found


def _bundles(component: Callable[..., Any]) -> dict[str, Any]:
    """The defaults that are dataclasses, whose fields are options, by argument."""
    found = _keyword_only(component)
    return {item.name: item.default for item in found if is_dataclass(item.default)}


def _keyword_only(component: Callable[..., Any]) -> list[inspect.Parameter]:
    parameters = inspect.signature(component).parameters.values()
    return [item for item in parameters if item.kind is item.KEYWORD_ONLY]


def option_types(component: Callable[..., Any]) -> dict[str, str]:
    """The type of each option of a component as text; empty if it has no annotation."""
    hints = {item.name: item.annotation for item in option_parameters(component)}
    return {
        name: "" if hint is inspect.Parameter.empty else inspect.formatannotation(hint).strip("'")
        for name, hint in hints.items()
    }


@cache
def option_schema(component: Callable[..., Any]) -> Any:
    """A dataclass whose fields are the options of a component.

    Raises:
        InputError: the type of an option cannot be found.
    """
    hints = _hints(component)
    fields = [
        (item.name, _plain(hints.get(item.name, Any), item.default), _default(item))
        for item in option_parameters(component)
    ]
    return make_dataclass("Options", fields)


def _hints(component: Callable[..., Any]) -> dict[str, Any]:
    """The types of the annotated options of a component."""
    shared = [_hints(type(bundle)) for bundle in _bundles(component).values()]
    return _own_hints(component) | {name: hint for hints in shared for name, hint in hints.items()}


def _own_hints(component: Callable[..., Any]) -> dict[str, Any]:
    function: Any = component.__init__ if inspect.isclass(component) else component
    names = [item.name for item in _keyword_only(component) if not is_dataclass(item.default)]
    try:
        written = getattr(function, "__annotations__", {})
        own = SimpleNamespace(
            __annotations__={key: written[key] for key in names if key in written}
        )
        return get_type_hints(own, getattr(function, "__globals__", None))
    except NameError as error:
        raise InputError(
            f"{function.__module__}: {error}, which is the type of an option of "
            f"{function.__qualname__}: import it at run time, not only under `if TYPE_CHECKING`"
        ) from error


def _plain(hint: Any, default: Any) -> Any:
    if default is None and hint is not Any:
        return Optional[_plain(hint, ...)]  # noqa: UP045 - omegaconf reads no "|"
    if get_origin(hint) is tuple:  # omegaconf's error about a tuple does not name the value
        return list[get_args(hint)[0]]  # type: ignore[misc]
    return Union[get_args(hint)] if get_origin(hint) is UnionType else hint  # noqa: UP007 - omegaconf reads no "|"


def _default(parameter: inspect.Parameter) -> Any:
    default = MISSING if parameter.default is parameter.empty else parameter.default
    if isinstance(default, (list, tuple)):
        return field(default_factory=lambda: list(default))
    return field(default=default)
