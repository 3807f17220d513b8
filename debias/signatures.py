"""Signatures of components: which arguments are facts, and the types and defaults of options.

Positional arguments are facts of the data or the model. Keyword-only arguments are options.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import field, make_dataclass
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
    function: Any = component.__init__ if inspect.isclass(component) else component
    names = [item.name for item in option_parameters(component)]
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
