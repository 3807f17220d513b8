"""What every test may use."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import pytest

from tests.forked import Command

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# a shell's background jobs ignore Ctrl-C, and so would what tests start and then stop by it
signal.signal(signal.SIGINT, signal.default_int_handler)
gc.disable()  # imports and collected tests are a million objects, and almost no garbage

SHARED = Path(__file__).parents[2] / "shared"


def pytest_collection_finish() -> None:
    """From now on garbage is collected, but not searched for in what was imported."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Local test material, not part of the project; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("needs the local test material")
    return SHARED


@pytest.fixture(scope="module", autouse=True)
def unrendered_charts() -> Iterator[None]:
    """Charts are painted, but not rendered as SVG, which takes a tenth of the time of a small run.

    The tests of reports override it; runs that all modules share are whole too.
    """

    def painted(name: str, paint: Callable[[Axes], None], **options: object) -> str:
        from matplotlib.figure import Figure

        paint(Figure().add_subplot())
        return "<svg></svg>"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("debias.reports.charts.drawing", painted)
        yield


@pytest.fixture
def memory() -> Iterator[Any]:
    """An empty storage in the memory of this process, with the protocol ``memory``."""
    import fsspec

    files = fsspec.filesystem("memory")
    files.store.clear()
    yield files
    files.store.clear()


@pytest.fixture
def start(tmp_path_factory) -> Iterator[Callable[..., Command]]:
    """Starts ``debias`` with arguments, in a process that has imported everything already."""
    started: list[Command] = []

    def command(*arguments: str, network: str = "", **environment: str) -> Command:
        folder = tmp_path_factory.mktemp("printed")
        started.append(Command(arguments, folder, environment, network))
        return started[-1]

    yield command
    for left in started:
        left.kill()
