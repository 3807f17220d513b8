"""Nested plain settings: YAML and ``key=value`` texts to dictionaries, merging, values of a type.

OmegaConf reads the values and converts them, each distinct one once. What is laid over each other
are plain dictionaries, so that thousands of configs that share most of their values cost little.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import field, make_dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from debias.errors import InputError, check_printable, shortened

Default = TypeVar("Default", str, None)
#: Plain settings by name, of a config, a section of it or a component; and the same to be read.
Settings = dict[str, Any]
Section = Mapping[str, Any]
#: What stands for a value that is still to be given.
MISSING = "???"
#: A call such as ``${oc.env:HOME}``, also one whose name is put together from other keys.
_CALL = re.compile(r"\$\{[^{}]*(:|\$\{)")
#: How many texts and values are remembered: those of a large sweep.
REMEMBERED = 50_000


def read_overrides(overrides: Sequence[str]) -> Settings:
    """Read ``key=value`` texts, of which the values are YAML, as nested dictionaries.

    Raises:
        ValueError: a text has no "=", or its value cannot be read.

    Example:
        >>> read_overrides(["optimizer.lr=1e-3", "optimizer.name=adam", "seed=2"])
        {'optimizer': {'lr': 0.001, 'name': 'adam'}, 'seed': 2}
    """
    found: Settings = {}
    for override in overrides:
        if "=" not in override:
            raise InputError(f"override {override!r} must be key=value, as in seed=1")
    for override in overrides:
        try:
            layer = _read_override(override)
        except Exception as error:
            raise InputError(
                f"override {shortened(override)} cannot be read: {str(error).splitlines()[0]}"
            ) from error
        check_texts("", layer)
        found = laid_over(found, layer)
    return found


def taken(overrides: Sequence[str], name: str, default: Default) -> tuple[str | Default, list[str]]:
    """The last value that ``key=value`` texts give an option of a command, and the other texts.

    Example:
        >>> taken(["seed=2", "fresh=true"], "fresh", "false"), taken(["seed=2"], "resume", None)
        (('true', ['seed=2']), (None, ['seed=2']))
    """
    values = [text.partition("=")[2] for text in overrides if text.startswith(f"{name}=")]
    others = [text for text in overrides if not text.startswith(f"{name}=")]
    return values[-1] if values else default, others


def split_overrides(overrides: Sequence[str], keys: Collection[str]) -> tuple[list[str], list[str]]:
    """The ``key=value`` texts whose key or section is one of these, and the other texts.

    Example:
        >>> split_overrides(["data.root=a", "seed=2", "splits=[train]"], ("data", "seed"))
        (['data.root=a', 'seed=2'], ['splits=[train]'])
    """
    found: tuple[list[str], list[str]] = [], []
    for text in overrides:
        key = text.partition("=")[0]
        found[not (key in keys or key.partition(".")[0] in keys)].append(text)
    return found


def laid_over(below: Any, above: Any) -> Any:
    """Nested dictionaries merged, the values of ``above`` over ``below``; neither is changed.

    A value that is still missing leaves the one below it.

    Example:
        >>> laid_over({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 4, "d": "???"}})
        {'a': 1, 'b': {'c': 4, 'd': 3}}
    """
    if isinstance(above, (list, tuple)):
        return [laid_over(MISSING, value) for value in above]
    if not isinstance(above, dict):
        return below if above == MISSING else above
    merged = dict(below) if isinstance(below, dict) else {}
    return merged | {
        key: laid_over(merged.get(key, MISSING), value) for key, value in above.items()
    }


def plain_layer(values: Any) -> dict[Any, Any]:
    """Nested settings as plain dictionaries and lists; references stay as they are written."""
    container = OmegaConf.to_container(
        values if OmegaConf.is_config(values) else OmegaConf.create(dict(values))
    )
    assert isinstance(container, dict)
    return container


def texts(value: Any) -> Iterator[str]:
    """Every text among nested values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from texts(entry)


def converted(schema: type, key: str, value: Any) -> Any:
    """A value as a field of a dataclass holds it.

    Args:
        schema: the dataclass.
        key: of the field.
        value: plain; "1" or "???" become what the field takes for them.

    Raises:
        ValueError: the field takes no such value.
    """
    convert = _convert if isinstance(value, (dict, list)) else _convert_once
    return convert(schema, key, value)


def resolved(schema: type, values: Section) -> Settings:
    """The fields of a dataclass, with the values of references such as ``${seed}``.

    Raises:
        ValueError: a value is still missing, or a reference names none.
    """
    try:
        config = OmegaConf.merge(OmegaConf.structured(schema), values)
        missing = sorted(OmegaConf.missing_keys(config))
        container = {} if missing else OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise InputError(f"{error.full_key}: {str(error).splitlines()[0]}") from error
    if missing:
        raise InputError(f"{missing[0]} has no value: give one, as in {missing[0]}=...")
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def read_yaml(path: Path) -> DictConfig:
    """Keys and values of a YAML file.

    Raises:
        InputError: no valid YAML, no keys and values, or a text that no config may hold.
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


def check_texts(key: str, value: Any) -> None:
    """Refuse texts of a config that call a resolver, or that hold control characters.

    A resolver such as ``oc.env`` would write a secret of the environment into reports that people
    share. A key may stand for another one, as in ``${seed}``.

    Args:
        key: of the value, with dots; empty for the whole config.
        value: nested dictionaries and lists, interpolations not yet resolved.

    Raises:
        InputError: naming the key.
    """
    if isinstance(value, Mapping):
        for name, entry in value.items():
            check_texts(f"{key}.{name}" if key else str(name), entry)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            check_texts(key, entry)
    elif isinstance(value, str):
        check_printable(f"{shortened(key)}:", value)
        if _CALL.search(value):
            raise InputError(
                f"{key}={shortened(value)} calls a resolver, as ${{oc.env:NAME}} does: reports "
                "would hold its value; write the value itself, or another key as in ${seed}"
            )


def check_names(sections: Mapping[str, Section]) -> None:
    """Refuse a component without name, or with several.

    Raises:
        InputError: naming the section.
    """
    for section, options in sections.items():
        name = options.get("name")
        if not isinstance(name, str) or not name:
            given = "null" if name is None else shortened(str(name))
            raise InputError(
                f"{section}.name must be one name, as `debias list` shows them; got {given}"
            )


@lru_cache(maxsize=REMEMBERED)
def _read_override(text: str) -> dict[Any, Any]:
    return plain_layer(OmegaConf.from_dotlist([text]))


@lru_cache(maxsize=REMEMBERED, typed=True)
def _convert_once(schema: type, key: str, value: Any) -> Any:
    return _convert(schema, key, value)


def _convert(schema: type, key: str, value: Any) -> Any:
    try:
        return plain_layer(OmegaConf.merge(_alone(schema, key), {key: value}))[key]
    except (OmegaConfBaseException, TypeError) as error:
        place = getattr(error, "full_key", None) or key
        raise InputError(f"{place}: {str(error).splitlines()[0]}") from error


@cache
def _alone(schema: Any, key: str) -> Any:
    """OmegaConf's view of a dataclass that has this field only: copying it is cheap."""
    entry = schema.__dataclass_fields__[key]
    again = field(default=entry.default, default_factory=entry.default_factory)
    return OmegaConf.structured(
        make_dataclass(schema.__name__, [(key, get_type_hints(schema)[key], again)])
    )
