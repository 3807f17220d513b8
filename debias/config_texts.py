"""Texts that no config may hold: they read the environment, steer terminals, or name nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from debias.errors import InputError, check_printable, shortened

#: A call such as ``${oc.env:HOME}``, also one whose name is put together from other keys.
_CALL = re.compile(r"\$\{[^{}]*(:|\$\{)")


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


def check_names(sections: Mapping[str, Mapping[str, Any]]) -> None:
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
