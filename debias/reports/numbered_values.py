"""Classes and bias values that a file gives as numbers: the greatest says how many."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from debias.errors import InputError

#: Numbers of classes or bias values lie below this, since every one up to the greatest is counted
#: for.
MOST_VALUES = 100_000


def numbered_values(found: Collection[str], name: str, path: Path) -> list[str]:
    """The numbers from 0 to the greatest of some decimal numbers.

    Raises:
        ValueError: one of them is ``MOST_VALUES`` or more.
    """
    # the first ten digits tell whether a number is too great, and int refuses thousands of them
    numbers = {int(value[:10]): value for value in found}
    if max(numbers) >= MOST_VALUES:
        greatest = numbers[max(numbers)][:20]
        raise InputError(
            f"{path}: {name} {greatest} is too great: number them from 0, below {MOST_VALUES:,}, "
            "or use names"
        )
    return [str(value) for value in range(max(numbers) + 1)]
