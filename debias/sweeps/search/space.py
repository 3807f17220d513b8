"""The space of a search: what Optuna is asked, a grid's points, and the ends to check."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from debias.errors import InputError
from debias.merging import Section, Settings
from debias.sweeps.draws import draw, shortened

if TYPE_CHECKING:
    from optuna import Trial

#: ``{key: {distribution: bounds or values}}``, as in a sweep's draws.
Space = Mapping[str, Mapping[str, Sequence[Any]]]


def check_space(space: Space, sampler: str) -> None:
    """Refuse a space that is empty, holds what is no distribution, or has no end where every point
    is to be tried.

    Raises:
        ValueError: naming the key.
    """
    if not space:
        raise InputError("search.space is empty: name a key and its distribution, as for draws")
    draw(1, seed=0, values=space, section="search.space")
    for key, distribution in space.items():
        ((name, values),) = distribution.items()
        if name == "choice" and any(isinstance(value, (list, dict)) for value in values):
            raise InputError(f"search.space.{key}: choice takes single values; got {values}")
        if sampler == "grid" and name != "choice":
            needed = "a grid needs choice: [values]"
            raise InputError(f"search.space.{key}: {needed}; {name} has no end")


def points(space: Space, sampler: str, count: int, seed: int) -> list[Settings] | None:
    """The settings of every trial, if they do not depend on earlier ones; else ``None``."""
    if sampler == "grid":
        values = [next(iter(distribution.values())) for distribution in space.values()]
        return [dict(zip(space, point, strict=True)) for point in itertools.product(*values)]
    if sampler != "random":
        return None
    return draw(count, seed=seed, values=space, section="search.space")


def suggest(trial: Trial, space: Space) -> Settings:
    """Ask Optuna for a value of every key; what it has proposed for this trial already stays."""
    result = {}
    for key, distribution in space.items():
        ((name, values),) = distribution.items()
        if name == "choice":
            result[key] = trial.suggest_categorical(key, tuple(values))
        else:
            result[key] = trial.suggest_float(key, *map(float, values), log=name == "log_uniform")
    return result


def readable(values: Section, space: Space) -> Settings:
    """What Optuna proposes, with numbers shortened as draws are, in the order of the space."""
    result = {}
    for key, distribution in space.items():
        ((name, bounds),) = distribution.items()
        value = values[key]
        result[key] = value if name == "choice" else shortened(value, *map(float, bounds))
    return result


def ends(space: Space) -> Iterator[Settings]:
    """Settings that have every choice and every bound, for a check before the search."""
    columns = {key: list(next(iter(distribution.values()))) for key, distribution in space.items()}
    for number in range(max(map(len, columns.values()))):
        yield {key: values[min(number, len(values) - 1)] for key, values in columns.items()}
