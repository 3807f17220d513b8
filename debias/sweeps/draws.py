"""Random settings for a sweep. The same seed gives the same settings on every machine."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from debias.errors import InputError, near

#: Significant digits of a drawn number: enough for any setting, and short in a table.
DIGITS = 4


def draw(
    count: int,
    *,
    seed: int,
    values: Mapping[str, Mapping[str, Sequence[Any]]],
    section: str = "draws.values",
) -> list[dict[str, Any]]:
    """Draw ``count`` random settings, each key independently of the others.

    Each key has its own random stream, which depends only on the seed and the key. A greater
    ``count`` therefore keeps the earlier draws, and another key does not change the values of the
    rest.

    Args:
        count: number of settings.
        seed: seed of all streams.
        values: distribution of each key: ``{uniform: [low, high]}``, ``{log_uniform: [low, high]}``
            or ``{choice: [a, b, ...]}``.
        section: section of the sweep file that holds ``values``, for error messages.

    Returns:
        ``count`` dictionaries with a value for every key. Numbers have four significant digits.

    Raises:
        ValueError: a distribution is unknown, a list of choices is empty, ``low`` is not below
            ``high``, or a bound of ``log_uniform`` is not positive.

    Example:
        >>> draw(2, seed=0, values={"optimizer.lr": {"log_uniform": [1e-5, 1e-2]}})
        [{'optimizer.lr': 0.0002656}, {'optimizer.lr': 0.001054}]
    """
    columns = {key: _column(section, key, entry, count, seed) for key, entry in values.items()}
    return [{key: column[number] for key, column in columns.items()} for number in range(count)]


def _column(
    section: str, key: str, distribution: Mapping[str, Sequence[Any]], count: int, seed: int
) -> list[Any]:
    if not isinstance(distribution, Mapping) or len(distribution) != 1:
        raise InputError(f"{section}.{key} must name one distribution; {near('', _NEEDS)}")
    ((name, bounds),) = distribution.items()
    if name not in _NEEDS:
        raise InputError(f"{section}.{key}: unknown distribution {name!r}; {near(name, _NEEDS)}")
    try:
        sample = _sampler(name, bounds)
    except (TypeError, ValueError):
        raise InputError(f"{section}.{key}: {name} needs {_NEEDS[name]}; got {bounds}") from None
    stream = random.Random(f"{seed}/{key}")
    return [sample(stream) for _ in range(count)]


def _sampler(name: str, bounds: Sequence[Any]) -> Callable[[random.Random], Any]:
    if name == "choice":
        if isinstance(bounds, str) or not len(bounds):
            raise InputError
        return lambda stream: stream.choice(bounds)
    low, high = map(float, bounds)
    if not low < high:
        raise InputError
    if name == "uniform":
        return lambda stream: shortened(stream.uniform(low, high), low, high)
    start, end = math.log(low), math.log(high)
    return lambda stream: shortened(math.exp(stream.uniform(start, end)), low, high)


def shortened(value: float, low: float, high: float) -> float:
    """Round a number to four significant digits, and clip it to the bounds."""
    return min(max(float(f"{value:.{DIGITS}g}"), low), high)


#: The values that each distribution needs, for error messages.
_NEEDS = {
    "uniform": "two numbers [low, high]",
    "log_uniform": "two positive numbers [low, high]",
    "choice": "a list of values",
}
