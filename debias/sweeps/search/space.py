"""The search space: its checks, the points of a grid, and the values that Optuna proposes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from debias.errors import InputError
from debias.merging import Section, Settings
from debias.sweeps.draws import draw, shortened

if TYPE_CHECKING:
    from optuna import Trial

#: ``{key: {distribution: bounds or values}}``, as in the ``draws`` of a sweep file. An entry may
#: also have ``when: {other key: value or values}``: the key then exists only beside these.
Space = Mapping[str, Mapping[str, Any]]
#: Name of the condition of a key.
WHEN = "when"


def check_space(space: Space, sampler: str) -> None:
    """Check the search space of a config.

    Raises:
        ValueError: the space is empty, a distribution is unknown or has wrong bounds, a choice is a
            list or dictionary, the sampler is "grid" and a distribution is not a choice, or a
            condition names no choice of the space.
    """
    if not space:
        raise InputError("search.space is empty. Give a key and its distribution, as for draws")
    draw(1, seed=0, values=_distributions(space), section="search.space")
    for key in space:
        _check_condition(key, space)
        name, values = _distribution(space, key)
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
        values = [_distribution(space, key)[1] for key in space]
        every = [
            _existing(zip(space, row, strict=True), space) for row in itertools.product(*values)
        ]
        return list({tuple(point.items()): point for point in every}.values())
    if sampler != "random":
        return None
    drawn = draw(count, seed=seed, values=_distributions(space), section="search.space")
    return [_existing(point.items(), space) for point in drawn]


def suggest(trial: Trial, space: Space) -> Settings:
    """Get a value for every key from Optuna. Values already proposed for this trial are kept."""
    result: Settings = {}
    for key in _ordered(space):
        name, values = _distribution(space, key)
        if not _exists(key, space, result):
            continue
        if name == "choice":
            result[key] = trial.suggest_categorical(key, tuple(values))
        else:
            result[key] = trial.suggest_float(key, *map(float, values), log=name == "log_uniform")
    return result


def readable(values: Section, space: Space) -> Settings:
    """Round the numbers that Optuna proposes to four significant digits.

    The keys are in the order of the space. A key whose condition does not hold is left out. Empty
    if a value is missing, because a command was killed while it proposed the trial.
    """
    result = {}
    for key in space:
        name, bounds = _distribution(space, key)
        if not _exists(key, space, values):
            continue
        if key not in values:
            return {}
        value = values[key]
        result[key] = value if name == "choice" else shortened(value, *map(float, bounds))
    return result


def ends(space: Space) -> Iterator[Settings]:
    """Yield settings that together have every choice and every bound of the space, and a number
    between the bounds.

    A key with a condition has each of its values beside each value of its condition.
    """
    columns = {key: _tried(*_distribution(space, key)) for key in space}
    for number in range(max(map(len, columns.values()))):
        row = {key: values[min(number, len(values) - 1)] for key, values in columns.items()}
        yield _existing(row.items(), space)
    first = {key: values[0] for key, values in columns.items()}
    for key in space:
        conditions = _conditions(space, key)
        for beside in itertools.product(*conditions.values()) if conditions else ():
            chosen = dict(zip(conditions, beside, strict=True))
            for value in columns[key]:
                yield _existing((first | chosen | {key: value}).items(), space)


def _tried(name: str, values: Sequence[Any]) -> list[Any]:
    """All choices, or the bounds and a number between them, which no option of integers allows."""
    if name == "choice":
        return list(values)
    low, high = map(float, values)
    return [*values, shortened(low + 0.618 * (high - low), low, high)]


def _check_condition(key: str, space: Space) -> None:
    condition = space[key].get(WHEN, {})
    place = f"search.space.{key}.{WHEN}"
    if not isinstance(condition, Mapping):
        raise InputError(f"{place} must be {{key: value}}; got {condition!r}")
    for other, values in condition.items():
        choices = space.get(other, {}).get("choice")
        if other == key or choices is None or WHEN in space[other]:
            raise InputError(
                f"{place} must name another key of the space that has a choice and no condition; "
                f"got {other}"
            )
        if not _listed(values):
            raise InputError(f"{place}.{other} must name at least one value; got {values!r}")
        for value in _listed(values):
            if value not in choices:
                raise InputError(f"{place}.{other} must be one of {list(choices)}; got {value!r}")


def _distribution(space: Space, key: str) -> tuple[str, Sequence[Any]]:
    ((name, values),) = _distributions({key: space[key]})[key].items()
    return name, values


def _distributions(space: Space) -> dict[str, Mapping[str, Sequence[Any]]]:
    """The space without its conditions. What is no dictionary stays, for the checks of draws."""
    return {
        key: {name: values for name, values in entry.items() if name != WHEN}
        if isinstance(entry, Mapping)
        else entry
        for key, entry in space.items()
    }


def _conditions(space: Space, key: str) -> dict[str, list[Any]]:
    return {other: _listed(values) for other, values in space[key].get(WHEN, {}).items()}


def _exists(key: str, space: Space, settings: Section) -> bool:
    conditions = _conditions(space, key).items()
    return all(settings.get(other) in values for other, values in conditions)


def _existing(settings: Iterable[tuple[str, Any]], space: Space) -> Settings:
    every = dict(settings)
    return {key: value for key, value in every.items() if _exists(key, space, every)}


def _ordered(space: Space) -> list[str]:
    """The keys without a condition before those with one."""
    return sorted(space, key=lambda key: WHEN in space[key])


def _listed(values: Any) -> list[Any]:
    return list(values) if isinstance(values, (list, tuple)) else [values]
