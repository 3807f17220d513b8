"""Show the progress of a sweep: a table on a terminal, otherwise one line per event.

The accuracies are those of the validation split, and are labelled so. Only the report of the sweep
shows the test split.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from debias.metrics.selection import merit
from debias.progress import duration
from debias.sweeps.cost import Costs, kind_of
from debias.sweeps.files import files_of
from debias.sweeps.plan import PlannedRun
from debias.sweeps.status import progress_cells


class Progress:
    """Counts the runs of a sweep by status, remembers the best, and shows both on a console.

    Use it as a context manager: the table on a terminal is drawn inside the context.

    Args:
        runs: all runs of the sweep. Runs that are already done are only counted. A search starts
            with none, and adds each run at its first event.
        ended: called with a run when it is done, pruned, or failed without another attempt. The
            second argument is why it failed; it is empty for the others.
        console: console for the output; the standard output by default.
    """

    def __init__(
        self,
        runs: Sequence[PlannedRun],
        *,
        ended: Callable[[PlannedRun, str], None] | None = None,
        console: Console | None = None,
    ) -> None:
        self.ended = ended or (lambda run, failure: None)
        self.runs = {run.name: run for run in runs}
        self.console = console or Console(highlight=False, soft_wrap=True)
        self.status = dict.fromkeys(self.runs, "waiting")
        self.counts = Counter(self.status.values())
        self.kinds = {run.name: kind_of(run) for run in runs}
        self.waiting = Counter(self.kinds.values())
        self.begun, self.tried = time.time(), dict[str, PlannedRun]()
        self.since: dict[str, float] = {}
        self.elsewhere: set[str] = set()
        self.best: dict[str, tuple[float, PlannedRun]] = {}
        self.costs = Costs()
        terminal = self.console.is_terminal
        self.live = Live(console=self.console, auto_refresh=False) if terminal else None
        for run in runs:
            if files_of(run).report.is_file():
                self._note(run)

    def __enter__(self) -> Progress:
        """Start the live table, if the console is a terminal."""
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Draw the final state, and leave it on the screen."""
        self.show()
        if self.live:
            self.live.stop()

    def started(self, run: PlannedRun) -> None:
        """Record that a worker has started or resumed the run."""
        self.tried[run.name] = run
        self._enter(run, "running")
        if not self.live and run.name not in self.elsewhere:
            self._say(f"started {run.settings}")

    def finished(self, run: PlannedRun) -> bool:
        """Check by its files whether a run is done or pruned. If it is, record and show that."""
        files = files_of(run)
        if files.report.is_file():
            self.done(run)
        elif files.pruned.is_file():
            self.pruned(run, files.reason())
        else:
            return False
        return True

    def done(self, run: PlannedRun) -> None:
        """Record that the run is done. Its report must exist."""
        self._say(f"done    {run.settings}: {self._note(run)}")
        self.ended(run, "")

    def failed(self, run: PlannedRun, reason: str, *, again: bool) -> None:
        """Record a failed attempt at a run; ``again`` is whether another attempt follows."""
        self._enter(run, "waiting" if again else "failed")
        self._say(f"failed  {run.settings}{', tried again' if again else ''}: {reason}")
        if not again:
            self.ended(run, reason)

    def stopped(self, run: PlannedRun, reason: str) -> None:
        """Record that an attempt was ended from outside, and that the run waits to be resumed."""
        self._enter(run, "waiting")
        self._say(f"stopped {run.settings}: {reason}")

    def busy(self, run: PlannedRun) -> None:
        """Record that another process trains the run. Further attempts at it print nothing."""
        self._enter(run, "waiting")
        if run.name not in self.elsewhere:
            self.elsewhere.add(run.name)
            self._say(f"waits   {run.settings}: another process trains it")

    def pruned(self, run: PlannedRun, reason: str) -> None:
        """Record that a search has stopped the run early."""
        self._enter(run, "pruned")
        self._say(f"pruned  {run.settings}: {reason}")
        self.ended(run, "")

    def show(self) -> None:
        """Draw the current state, if the console is a terminal."""
        if self.live:
            self.live.update(Group(Text(self.summary()), self._running()), refresh=True)

    def summary(self) -> str:
        """One line: counts by status, the estimated time left, and the best run so far.

        Runs of the same selection rule are compared by it on validation. The settings of the best
        run are long: they are last, because a narrow terminal cuts the line.
        """
        counts = self.counts
        parts = [f"{counts['done']}/{len(self.runs)} done"]
        others = ("running", "pruned", "failed", "waiting")
        parts += [f"{counts[status]} {status}" for status in others if counts[status]]
        if left := self.seconds_left():
            parts.append(f"about {duration(left)} left")
        best = self.best.items()
        parts += [f"best {_score(rule, value)} ({run.settings})" for rule, (value, run) in best]
        return ", ".join(parts)

    def seconds_left(self) -> float | None:
        """Estimate the seconds until the last run ends, from finished runs of the same kind.

        ``None`` if an unfinished run has no finished run of its kind.
        """
        now, left = time.monotonic(), 0.0
        expected = [(kind, count, 0.0) for kind, count in self.waiting.items() if count]
        expected += [(self.kinds[name], 1, now - since) for name, since in self.since.items()]
        for kind, count, spent in expected:
            cost = self.costs.expected_of(kind)
            if cost is None:
                return None
            left += count * max(0.0, cost - spent)
        return left / max(1, len(self.since))

    def _enter(self, run: PlannedRun, status: str) -> None:
        name = run.name
        if before := self.status.get(name):
            self.counts[before] -= 1
        kind = self.kinds.setdefault(name, kind_of(run))
        self.waiting[kind] += (status == "waiting") - (before == "waiting")
        self.counts[status] += 1
        self.runs[name], self.status[name] = run, status
        self.since.pop(name, None)
        if status == "running":
            self.since[name] = time.monotonic()

    def _note(self, run: PlannedRun) -> str:
        self._enter(run, "done")
        report = self.costs.read(files_of(run))
        rule, value = report.selection.rule, report.selection.chosen.value
        best = merit(rule, self.best[rule][0]) if rule in self.best else -math.inf
        if value is not None and merit(rule, value) > best:
            self.best[rule] = (value, run)
        return _score(rule, value)

    def _say(self, line: str) -> None:
        self.console.print(Text(line if self.live else f"{line} [{self.summary()}]"))

    def _running(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for name, since in self.since.items():
            spent = duration(time.monotonic() - since)
            epochs, worst, _, left = progress_cells(self.runs[name].folder)
            state = "" if epochs == "-" else f"epoch {epochs}, worst {worst}, {left} left"
            table.add_row("running", Text(self.runs[name].settings), spent, state)
        return table


def _score(rule: str, value: float | None) -> str:
    return f"validation {rule} {'-' if value is None else f'{100 * value:.1f}'}"
