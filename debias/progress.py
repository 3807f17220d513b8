"""Lines and moving bars on standard error that show what a long command does.

On a terminal, long work has a moving bar. Elsewhere, as in a log file, it prints a line now and
then. Of several processes that train together, only the first prints.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from operator import length_hint
from types import TracebackType
from typing import TypeVar

from tqdm import tqdm

from debias.launched import is_helper_process

Item = TypeVar("Item")

#: Shortest time between two lines about the same work, in seconds. Shorter work prints no line.
PAUSE = 30.0
#: Smallest share of the work between two lines.
SHARE = 0.1


def say(line: str) -> None:
    """Print a line, above a moving bar if there is one."""
    if not is_helper_process():
        tqdm.write(line, file=sys.stderr)


def draws_bars() -> bool:
    """Whether this process may draw moving bars: standard error is a terminal."""
    return sys.stderr.isatty() and not is_helper_process()


class LongWork:
    """Counts the completed items of some work, on a moving bar or in lines. A context manager.

    Without a bar, a line follows every tenth of the work, but at most every ``PAUSE`` seconds. Work
    that took longer than that prints a last line with its duration.

    Args:
        title: what is done, such as "decoding pictures".
        total: number of items; 0 if unknown.
        unit: name of one item, such as "picture".
        bar: whether to draw a bar on a terminal.
    """

    def __init__(self, title: str, total: int, unit: str, *, bar: bool = True) -> None:
        self.title, self.total, self.unit = title, total, unit
        drawn = bar and draws_bars()
        self.bar = tqdm(desc=title, total=total or None, unit=unit) if drawn else None
        self.items, self.printed = 0, 0
        self.started = self.since = time.monotonic()

    def add(self, items: int = 1) -> None:
        """Count further completed items."""
        self.items += items
        if self.bar is not None:
            self.bar.update(items)
            return
        now = time.monotonic()
        if now - self.since >= PAUSE and self.items - self.printed >= SHARE * self.total:
            self.since, self.printed = now, self.items
            if self.items != self.total:
                say(f"{self.title}: {self._count(now - self.started)}")

    def _count(self, seconds: float) -> str:
        if not self.total:
            return f"{self.items} {self.unit}"
        left = duration(seconds / self.items * (self.total - self.items))
        return f"{self.unit} {self.items} of {self.total}, {left} left"

    def __enter__(self) -> "LongWork":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the bar, or print the duration of long work that is complete."""
        seconds = time.monotonic() - self.started
        if self.bar is not None:
            self.bar.close()
        elif kind is None and seconds >= PAUSE:
            say(f"{self.title}: done in {duration(seconds)}")


def each(
    items: Iterable[Item], title: str, unit: str, *, total: int | None = None, bar: bool = True
) -> Iterator[Item]:
    """Yield the items, and show how many are completed, as :class:`LongWork` does.

    Args:
        items: the items.
        title: what is done with them.
        unit: name of one item.
        total: number of items; ``None`` means their length, if they have one.
        bar: whether to draw a bar on a terminal.
    """
    with LongWork(title, length_hint(items) if total is None else total, unit, bar=bar) as work:
        for item in items:
            yield item
            work.add()


def duration(seconds: float) -> str:
    """Format a number of seconds for people, in seconds, minutes, hours or days.

    Example:
        >>> duration(8.4), duration(90), duration(5400), duration(200_000)
        ('8 s', '2 min', '1.5 h', '2.3 d')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 86400 else f"{seconds / 86400:.1f} d"
