"""Reads settings from YAML and ``key=value`` texts, merges them, and converts their types.

OmegaConf reads and converts each distinct value once. Merging uses plain dictionaries, so that
thousands of configs with mostly the same values cost little.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import field, is_dataclass, make_dataclass
from functools import cache, lru_cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigKeyError,
    KeyValidationError,
    OmegaConfBaseException,
    ValidationError,
)

from debias.errors import InputError, near, shortened
from debias.texts import check_texts, check_written, entry_type, unquoted

Default = TypeVar("Default", str, None)
#: Plain settings by name, of a config, a section or a component; ``Section`` is for reading only.
Settings = dict[str, Any]
Section = Mapping[str, Any]
#: Placeholder for a value that must still be given.
MISSING = "???"
#: The allowed values of a type, and of a list of it, in a message.
_ALLOWED = {
    int: ("an integer", "integers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "true or false"),
    str: ("a text", "texts"),
    type(None): ("null", "null"),
    Any: ("a value", "values"),
}
#: Size of the caches of texts and of values: enough for a large sweep.
REMEMBERED = 50_000


def read_overrides(overrides: Sequence[str]) -> Settings:
    """Read ``key=value`` texts as nested dictionaries; the values are YAML.

    Raises:
        ValueError: a text has no "=", its value is not valid YAML, or
            :func:`debias.texts.check_written` refuses it.

    Example:
        >>> read_overrides(["optimizer.lr=1e-3", "optimizer.name=adam", "seed=2"])
        {'optimizer': {'lr': 0.001, 'name': 'adam'}, 'seed': 2}
    """
    settings: Settings = {}
    for override in overrides:
        if "=" not in override:
            raise InputError(f"override {override!r} must be key=value, as in seed=1")
    for override in overrides:
        try:
            layer = _read_override(override)
        except Exception as error:
            key, _, value = override.partition("=")
            quoted = f"""'{key}="{value}"'"""
            hint = f"; write a text with braces as {quoted}" if value[:1] == "{" else ""
            raise InputError(
                f"override {shortened(override)} cannot be read: {str(error).splitlines()[0]}{hint}"
            ) from error
        check_texts("", layer)
        check_written(override, layer)
        settings = laid_over(settings, layer)
    return settings


def taken(overrides: Sequence[str], name: str, default: Default) -> tuple[str | Default, list[str]]:
    """Split ``key=value`` texts into the last value of one option, or its default, and the rest.

    The value is a text. Quotes around it are left out, and ``null`` is the default.

    Example:
        >>> taken(["seed=2", "fresh=true"], "fresh", "false"), taken(["seed=2"], "resume", None)
        (('true', ['seed=2']), (None, ['seed=2']))
        >>> taken(['out="a #b"'], "out", None), taken(["positive=null"], "positive", None)
        (('a #b', []), (None, []))

    Raises:
        InputError: :func:`debias.texts.check_texts` refuses a value.
    """
    values = [text.partition("=")[2] for text in overrides if text.startswith(f"{name}=")]
    check_texts(name, values)
    others = [text for text in overrides if not text.startswith(f"{name}=")]
    if not values or values[-1] == "null":
        return default, others
    return re.sub("^([\"'])(.*)\\1$", r"\2", values[-1].strip()), others


def split_overrides(overrides: Sequence[str], keys: Collection[str]) -> tuple[list[str], list[str]]:
    """Split ``key=value`` texts into those whose key or section is in ``keys``, and the others.

    Example:
        >>> split_overrides(["data.root=a", "seed=2", "splits=[train]"], ("data", "seed"))
        (['data.root=a', 'seed=2'], ['splits=[train]'])
    """
    sides: tuple[list[str], list[str]] = [], []
    for text in overrides:
        key = text.partition("=")[0]
        sides[not (key in keys or key.partition(".")[0] in keys)].append(text)
    return sides


def laid_over(below: Any, above: Any) -> Any:
    """Merge nested dictionaries: values of ``above`` replace those of ``below``.

    Neither argument is changed. A missing value, ``"???"``, in ``above`` keeps that of ``below``.

    Example:
        >>> laid_over({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 4, "d": "???"}})
        {'a': 1, 'b': {'c': 4, 'd': 3}}
    """
    if isinstance(above, (list, tuple)):
        return [laid_over(MISSING, value) for value in above]
    if not isinstance(above, dict):
        return below if above == MISSING else above
    merged = dict(below) if isinstance(below, dict) else {}
    laid = {key: laid_over(merged.get(key, MISSING), value) for key, value in above.items()}
    return merged | laid


def in_turn(section: Section) -> list[Settings]:
    """A section and those that its key ``then`` nests, in their order and without this key.

    Example:
        >>> in_turn({"name": "recombination", "then": {"name": "apr_p"}})
        [{'name': 'recombination'}, {'name': 'apr_p'}]
    """
    own = {key: value for key, value in section.items() if key != "then"}
    return [own, *(in_turn(section["then"]) if isinstance(section.get("then"), dict) else [])]


def named(kind: str, section: Section) -> str:
    """The names in a section as settings.

    Example:
        >>> named("augment", {"name": "recombination", "then": {"name": "apr_p"}})
        'augment.name=recombination augment.then.name=apr_p'
    """
    sections = enumerate(in_turn(section))
    return " ".join(f"{kind}{'.then' * at}.name={each['name']}" for at, each in sections)


def plain_layer(values: Any) -> dict[Any, Any]:
    """Nested settings as plain dictionaries and lists; references are not resolved."""
    config = values if OmegaConf.is_config(values) else OmegaConf.create(dict(values))
    container = OmegaConf.to_container(config)
    assert isinstance(container, dict)
    return container


def texts(value: Any) -> Iterator[str]:
    """Every text among the values of nested dictionaries and lists."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from texts(entry)


def converted(schema: type, key: str, value: Any) -> Any:
    """Convert a value to the type of a dataclass field.

    Args:
        schema: the dataclass.
        key: name of the field.
        value: a plain value; a text such as "1" becomes a number in a field of numbers.

    Raises:
        ValueError: the value does not fit the type of the field.
    """
    nested = isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(entry, (dict, list)) for entry in value)
    )
    if nested:
        return _convert(schema, key, value)
    if isinstance(value, list):
        return list(_convert_list_once(schema, key, tuple(value), tuple(map(type, value))))
    return _convert_once(schema, key, value)


def resolved(schema: type, values: Section) -> Settings:
    """Replace references such as ``${seed}`` by their values, and check that no value is missing.

    Args:
        schema: a dataclass with the fields of the settings.
        values: the settings.

    Raises:
        ValueError: a value is missing, or a reference names no key.
    """
    try:
        config = OmegaConf.merge(OmegaConf.structured(schema), values)
        missing = sorted(OmegaConf.missing_keys(config))
        container = {} if missing else OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise misfit(schema, error, str(error.full_key), values) from error
    if missing:
        raise InputError(f"{missing[0]} has no value: give one, as in {missing[0]}=...")
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def read_yaml(path: Path) -> DictConfig:
    """Read the keys and values of a YAML file.

    Raises:
        InputError: the file is not valid YAML, has no keys and values, or has a text that
            :func:`debias.texts.check_texts` refuses.
    """
    try:
        layer = OmegaConf.load(path)
    except Exception as error:
        raise InputError(
            f"{path} is not valid YAML: {shortened(' '.join(str(error).split()), 500)}"
        ) from error
    if not isinstance(layer, DictConfig):
        raise InputError(f"{path} must hold keys and values, as in 'seed: 1'")
    check_texts("", OmegaConf.to_container(layer))
    return layer


def check_names(sections: Mapping[str, Section]) -> None:
    """Check that each section has one component name.

    Raises:
        InputError: the ``name`` of a section is not one text; the message names the section.
    """
    for section, options in sections.items():
        name = options.get("name")
        if section.partition(".")[0] == "augment" and "then" in options:
            check_names({f"{section}.then": options["then"]})
        if not isinstance(name, str) or not name:
            given = "null" if name is None else shortened(str(name)) or "none"
            raise InputError(
                f"{section}.name must be one name, as `debias list` shows them; got {given}"
            )


@lru_cache(maxsize=REMEMBERED)
def _read_override(text: str) -> dict[Any, Any]:
    return plain_layer(OmegaConf.from_dotlist([text]))


@lru_cache(maxsize=REMEMBERED, typed=True)
def _convert_once(schema: type, key: str, value: Any) -> Any:
    return _convert(schema, key, value)


@lru_cache(maxsize=REMEMBERED)
def _convert_list_once(
    schema: type, key: str, values: tuple[Any, ...], types: tuple[type, ...]
) -> Any:
    """Convert a list of plain values. ``types`` keeps 1, 1.0 and True apart in the cache."""
    return _convert(schema, key, list(values))


def _convert(schema: type, key: str, value: Any) -> Any:
    hint = get_type_hints(schema).get(key)
    if other := unquoted(hint, value):
        example = ("no", "yes")[other[0]] if isinstance(other[0], bool) else other[0]
        raise InputError(
            f"{key} must be {_allowed(hint)}; got {other[0]}: write a text in quotes, as in "
            f"'\"{example}\"'"
        )
    try:
        return plain_layer(OmegaConf.merge(_alone(schema, key), {key: value}))[key]
    except (OmegaConfBaseException, TypeError) as error:
        if type(value) is int and str in get_args(hint):
            return str(value)  # the name of a column; OmegaConf converts it only if no list fits
        place = getattr(error, "full_key", None) or key
        raise misfit(schema, error, str(place), {key: value}) from error


def misfit(schema: type, error: Exception, place: str, values: Section) -> InputError:
    """Make the error about a value that OmegaConf refuses.

    Args:
        schema: the dataclass with the fields of the settings.
        error: the error of OmegaConf.
        place: key of the value, such as ``gammas[1]`` or ``groups.splits``.
        values: the settings.

    Returns:
        The error, which names the key, what is allowed, and what was given.
    """
    hint: Any = schema
    value: Any = values
    valid: Collection[str] = ()
    for name in re.findall(r"[^.\[\]]+", place):
        if is_dataclass(hint) and isinstance(value, Mapping):
            valid = get_type_hints(hint)
            hint, value = valid.get(name, Any), value.get(name)
        elif isinstance(value, (list, tuple)):
            hint, value = entry_type(hint), value[int(name)]
        elif isinstance(value, Mapping) and entry_type(hint, dict) is not Any:
            hint, value = entry_type(hint, dict), value.get(name)
    if isinstance(error, ConfigKeyError) and hint is Any:
        return InputError(f"unknown key {place!r}; {near(place.rpartition('.')[2], valid)}")
    of_type = isinstance(error, (ValidationError, TypeError))
    if hint is Any or not of_type or isinstance(error, KeyValidationError):
        return InputError(f"{place}: {str(error).splitlines()[0]}")
    given = "null" if value is None else shortened(repr(value))
    return InputError(f"{place} must be {_allowed(hint)}; got {given}")


def _allowed(hint: Any, *, several: bool = False) -> str:
    """The allowed values of a type, for a message, such as "a list of numbers"."""
    if is_dataclass(hint):
        return f"a section with {' and '.join(get_type_hints(hint))}"
    if hint in _ALLOWED:
        return _ALLOWED[hint][several]
    if get_origin(hint) is list:
        kind = "lists" if several else "a list"
        return f"{kind} of {_allowed(entry_type(hint), several=True)}"
    if (get_origin(hint) or hint) is dict:
        return "a section"
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(map(_allowed, get_args(hint)))
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(repr, get_args(hint)))}"
    return f"of the type {getattr(hint, '__name__', hint)}"


@cache
def _alone(schema: Any, key: str) -> Any:
    """A structured config of OmegaConf with this field alone, which is fast to copy."""
    entry = schema.__dataclass_fields__[key]
    again = field(default=entry.default, default_factory=entry.default_factory)
    return OmegaConf.structured(
        make_dataclass(schema.__name__, [(key, get_type_hints(schema)[key], again)])
    )
