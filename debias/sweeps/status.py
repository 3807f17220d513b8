"""What each run of a folder does now: its status, epoch, worst accuracy so far and time left."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.live import Live
from rich.text import Text

from debias.progress import duration
from debias.reports.record import read_report
from debias.reports.tables import text_table
from debias.reports.wording import percent
from debias.runs.epochs import EpochState, read_state
from debias.sweeps.files import PLAN, Files, read_plan, statuses

HEADER = ("status", "epochs", "worst", "best so far", "left", "run")
#: Status of a run that no command trains any more. A failed run may be tried again.
FINAL, ENDED = ("done", "pruned"), ("done", "pruned", "failed")
#: The order of the runs in a watched table. A terminal shows the first ones.
ORDER = ("running", "failed", "interrupted", "pruned", "done", "waiting")
#: Time between two looks at the files, in seconds.
PAUSE = 5.0
#: Lines of a watched table beside those of the runs: counts, header, rule, what is not shown, and
#: the line below the table.
OTHER_LINES = 5


class RunStatus(NamedTuple):
    """A run of a folder, the settings that name it in tables, and its status."""

    files: Files
    settings: str
    status: str


class Board:
    """The runs of a folder, looked at again and again.

    A look lists folders, and opens files only of the runs that train. What has ended is not read
    again, unless the table shows it for the first time. Without a plan, each look also finds new
    runs.

    Args:
        out: folder of a sweep, or another folder of runs.

    Raises:
        ValueError: the folder has neither a plan nor runs, or its plan is damaged.
    """

    def __init__(self, out: Path) -> None:
        self.out, self.looks = out, 0
        self.status: dict[str, str] = {}
        self.changed: dict[str, int] = {}
        self.results: dict[str, str] = {}
        self.settings: dict[str, str] = {}
        self.planned: float | None = None
        self.look()

    def look(self) -> list[RunStatus]:
        """Look at the files, and return the runs whose status has changed."""
        self.looks += 1
        plan = self.out / PLAN
        written = plan.stat().st_mtime if plan.is_file() else None
        if written is None or written != self.planned:  # there may be more runs
            self.planned, self.settings = written, dict(_runs(self.out))
        done = {name for name, status in self.status.items() if status == "done"}
        found = statuses(self.out, self.settings, done=done)
        new = [name for name, status in found.items() if self.status.get(name) != status]
        self.status = found
        self.changed.update(dict.fromkeys(new, self.looks))
        return [self._run(name) for name in new]

    @property
    def runs(self) -> list[RunStatus]:
        """All runs, in the order of the plan, or of their names."""
        return [self._run(name) for name in self.settings]

    def ended(self) -> bool:
        """Whether no run is left. After a failure, only a second look tells: a launcher retries."""
        still = self.looks > max(self.changed.values(), default=0)
        return all(status in (ENDED if still else FINAL) for status in self.status.values())

    def title(self) -> str:
        """The folder, and the number of runs of each status. A launcher may have died meanwhile."""
        counted = Counter(self.status.values())
        counts = [f"{count:,} {status}" for status, count in counted.most_common()]
        idle = not counted["running"] and not self.ended()
        note = "; no run trains now" if idle else ""
        return f"{self.out}: {len(self.status):,} runs, {', '.join(counts)}{note}"

    def table(self, runs: Sequence[RunStatus]) -> list[str]:
        """The title, and a table with one row per run."""
        rows = [self._row(run) for run in runs]
        return [self.title(), *text_table(HEADER, rows, words=len(HEADER))]

    def screen(self, height: int) -> list[str]:
        """The table for a terminal: running runs, failed ones, then those that ended last."""
        order = sorted(
            self.runs, key=lambda run: (ORDER.index(run.status), -self.changed[run.files.name])
        )
        shown = order[: max(1, height - OTHER_LINES)]
        rest = Counter(run.status for run in order[len(shown) :])
        more = ", ".join(f"{count:,} {status}" for status, count in rest.items())
        return [*self.table(shown), *([f"not shown: {more}"] if more else [])]

    def events(self, runs: Sequence[RunStatus]) -> Iterator[str]:
        """A line per run, for an output that is no terminal."""
        for run in runs:
            *_, best, _, text = self._row(run)
            result = f": validation {best}" if run.status == "done" else ""
            yield f"{run.status:11} {text}{result}"

    def _run(self, name: str) -> RunStatus:
        return RunStatus(Files(self.out, name), self.settings[name], self.status[name])

    def _row(self, run: RunStatus) -> tuple[str, ...]:
        files, settings, status = run
        folder = files.report.parent
        if status == "done":
            if files.name not in self.results:
                self.results[files.name] = _selected(folder)
            return (status, "-", "-", self.results[files.name], "-", settings)
        epochs, worst, best, left = progress_cells(folder)
        left = left if status == "running" else "-"
        reason = files.reason() if status in ("failed", "pruned") else ""
        return (status, epochs, worst, best, left, f"{settings}: {reason}" if reason else settings)


def status_lines(out: Path) -> list[str]:
    """A line with the number of runs of each status, and a table with one row per run.

    Accuracies are those of the validation split, in percent.

    Args:
        out: folder of a sweep, or another folder of runs.

    Raises:
        ValueError: the folder has neither a plan nor runs, or a file in it is damaged.
    """
    board = Board(out)
    return board.table(board.runs)


def watch_status(
    out: Path,
    *,
    console: Console | None = None,
    pause: float = PAUSE,
    refresh: Callable[[], object] = lambda: None,
) -> None:
    """Show what the runs of a folder do, until every run has ended.

    A terminal shows a table, as long as the terminal is high. Any other output gets the running and
    the failed runs first, and then a line for each run whose status changes.

    Args:
        out: folder of a sweep, or another folder of runs.
        console: console for the output; the standard output by default.
        pause: seconds between two looks at the files.
        refresh: called before each further look, so that a copy can be brought up to date.

    Raises:
        ValueError: as :func:`status_lines`.
    """
    console = console or Console(highlight=False, soft_wrap=True)
    board = Board(out)
    changed = [run for run in board.runs if run.status in ("running", "failed")]
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    with live or nullcontext():
        while True:
            if live:
                text = Text("\n".join(board.screen(console.height)), no_wrap=True)
                text.overflow = "ellipsis"
                live.update(text, refresh=True)
            elif changed or board.looks == 1:
                console.print(Text("\n".join([board.title(), *board.events(changed)])))
            if board.ended():
                return
            time.sleep(pause)
            refresh()
            changed = board.look()


def progress_cells(run: Path) -> tuple[str, str, str, str]:
    """Cells of an unfinished run: completed epochs, worst and best accuracy, and time left."""
    stage, state = read_state(run) or ("", None)
    if state is None:
        return ("-",) * 4
    best = state.best_so_far().removeprefix("best ")
    return (_epochs(stage, state), percent(state.worst, "-"), best, duration(state.left))


def _runs(out: Path) -> list[tuple[str, str]]:
    names = sorted(path.parent.name for path in out.glob("*/config.yaml"))
    if not (out / PLAN).is_file() and names:  # a search that has not ended, or runs without a sweep
        return [(name, name) for name in names]
    return read_plan(out)


def _selected(folder: Path) -> str:
    """The result on validation of the epoch that a finished run selected."""
    selection = read_report(folder).selection
    rule = "" if selection.rule.startswith("worst_") else f"{selection.rule} "
    return f"{rule}{percent(selection.chosen.value, '-')} (epoch {selection.epoch})"


def _epochs(stage: str, state: EpochState) -> str:
    count = f"{state.epoch + 1}/{state.epochs}"
    return f"{stage} {count}" if stage else count
