"""Searches of one learning rate."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

BASE = """\
configs: [drawn_birds]
set: {epochs: 2}
seeds: [0]
final_seeds: [10, 11]
labels: validation_groups_known
"""


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """SQLite syncs several times a trial, which takes minutes on a busy disk; nobody pulls the plug
    of a test.
    """

    def relax(connection, record) -> None:
        if type(connection).__module__.startswith("sqlite3"):
            connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", relax)
    yield
    event.remove(Engine, "connect", relax)


@pytest.fixture
def search_file(sweep) -> Callable[..., Path]:
    """Writes a sweep file with the given section of a search; ``more`` sets top-level lines."""

    def write(section: str, **more: str) -> Path:
        lines = [line for line in BASE.splitlines() if line.partition(":")[0] not in more]
        lines += [f"{key}: {value}" for key, value in more.items() if value]
        return sweep("\n".join([*lines, f"search: {section}"]))

    return write
