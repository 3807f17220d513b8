"""The search space: its checks, the points of a grid, and the values that Optuna proposes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from debias.errors import InputError
from debias.merging import Section, Settings
from debias.sweeps.draws import draw, shortened

if TYPE_CHECKING:
    from optuna import Trial

#: ``{key: {distribution: bounds or values}}``, as in the ``draws`` of a sweep file.
Space = Mapping[str, Mapping[str, Sequence[Any]]]


def check_space(space: Space, sampler: str) -> None:
    """Check the search space of a config.

    Raises:
        ValueError: the space is empty, a distribution is unknown or has wrong bounds, a choice is a
            list or dictionary, or the sampler is "grid" and a distribution is not a choice.
    """
    if not space:
        raise InputError("search.space is empty. Give a key and its distribution, as for draws")
    draw(1, seed=0, values=space, section="search.space")
    for key, distribution in space.items():
        ((name, values),) = distribution.items()
        if name == "choice" and any(isinstance(value, (list, dict)) for value in values):
            raise InputError(f"search.space.{key}: choice must have single values; got {values}")
        if sampler == "grid" and name != "choice":
            rule = "must be choice: [values] for sampler=grid"
            raise InputError(f"search.space.{key} {rule}; got {name}")


def points(space: Space, sampler: str, count: int, seed: int) -> list[Settings] | None:
    """List the settings of all trials for the samplers "grid" and "random".

    ``None`` for "tpe", whose settings depend on the results of earlier trials.
    """
    if sampler == "grid":
        values = [next(iter(distribution.values())) for distribution in space.values()]
        return [dict(zip(space, point, strict=True)) for point in itertools.product(*values)]
    if sampler != "random":
        return None
    return draw(count, seed=seed, values=space, section="search.space")


def suggest(trial: Trial, space: Space) -> Settings:
    """Get a value for every key from Optuna. Values already proposed for this trial are kept."""
    result = {}
    for key, distribution in space.items():
        ((name, values),) = distribution.items()
        if name == "choice":
            result[key] = trial.suggest_categorical(key, tuple(values))
        else:
            result[key] = trial.suggest_float(key, *map(float, values), log=name == "log_uniform")
    return result


def readable(values: Section, space: Space) -> Settings:
    """Round the numbers that Optuna proposes to four significant digits.

    The keys are in the order of the space.
    """
    result = {}
    for key, distribution in space.items():
        ((name, bounds),) = distribution.items()
        value = values[key]
        result[key] = value if name == "choice" else shortened(value, *map(float, bounds))
    return result


def ends(space: Space) -> Iterator[Settings]:
    """Yield settings that together have every choice and every bound of the space."""
    columns = {key: list(next(iter(distribution.values()))) for key, distribution in space.items()}
    for number in range(max(map(len, columns.values()))):
        yield {key: values[min(number, len(values) - 1)] for key, values in columns.items()}
