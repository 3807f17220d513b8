"""What is known of a sweep while it runs: a table on a terminal, else a line per event.

Accuracies are of the validation split, and say so: the test split is shown by the report of the
sweep alone.
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
from debias.sweeps.cost import Costs, duration
from debias.sweeps.files import files_of
from debias.sweeps.plan import PlannedRun


class Progress:
    """Counts runs, keeps the best, and shows both; the terminal is drawn on within its context.

    Args:
        runs: all of the sweep's; those that are done already are only counted. A search has none
            at first, and each enters with its first event.
        ended: is called with a run that is done, pruned or failed for good, and why it failed; the
            reason is empty for the others.
        console: where it is shown.
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
        self.since: dict[str, float] = {}
        self.best: tuple[float, str, PlannedRun] | None = None
        self.costs = Costs()
        terminal = self.console.is_terminal
        self.live = Live(console=self.console, auto_refresh=False) if terminal else None
        for run in runs:
            if files_of(run).report.is_file():
                self._note(run)

    def __enter__(self) -> Progress:
        """Begin to draw."""
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the last state on the screen."""
        self.show()
        if self.live:
            self.live.stop()

    def started(self, run: PlannedRun) -> None:
        """A worker has begun with the run, or goes on with it."""
        self._enter(run, "running")
        self.since[run.name] = time.monotonic()
        if not self.live:
            self._say(f"started {run.settings}")

    def finished(self, run: PlannedRun) -> bool:
        """Whether a run is done or was stopped early, as its files say; then it is shown."""
        files = files_of(run)
        if files.report.is_file():
            self.done(run)
        elif files.pruned.is_file():
            self.pruned(run, files.reason())
        else:
            return False
        return True

    def done(self, run: PlannedRun) -> None:
        """The run's report is there."""
        self._say(f"done    {run.settings}: {self._note(run)}")
        self.ended(run, "")

    def failed(self, run: PlannedRun, reason: str, *, again: bool) -> None:
        """An attempt failed, and the run will be tried again or not."""
        self._enter(run, "waiting" if again else "failed")
        self._say(f"failed  {run.settings}{', tried again' if again else ''}: {reason}")
        if not again:
            self.ended(run, reason)

    def stopped(self, run: PlannedRun, reason: str) -> None:
        """An attempt was ended from outside, and the run waits to go on."""
        self._enter(run, "waiting")
        self._say(f"stopped {run.settings}: {reason}")

    def pruned(self, run: PlannedRun, reason: str) -> None:
        """A search has stopped the run early."""
        self._enter(run, "pruned")
        self._say(f"pruned  {run.settings}: {reason}")
        self.ended(run, "")

    def show(self) -> None:
        """Draw the present state, on a terminal."""
        if self.live:
            self.live.update(Group(Text(self.summary()), self._running()), refresh=True)

    def summary(self) -> str:
        """Counts, the best run so far by its selection rule on validation, and the time left."""
        counts = Counter(self.status.values())
        parts = [f"{counts['done']}/{len(self.runs)} done"]
        others = ("running", "pruned", "failed", "waiting")
        parts += [f"{counts[status]} {status}" for status in others if counts[status]]
        if self.best:
            value, rule, run = self.best
            parts.append(f"best {_score(rule, value)} ({run.settings})")
        if left := self.seconds_left():
            parts.append(f"about {duration(left)} left")
        return ", ".join(parts)

    def seconds_left(self) -> float | None:
        """Seconds until the last run is done, if each takes as long as its like; or ``None``."""
        now, left = time.monotonic(), 0.0
        for name, status in self.status.items():
            if status in ("running", "waiting"):
                cost = self.costs.expected(self.runs[name])
                if cost is None:
                    return None
                left += max(0.0, cost - (now - self.since[name] if status == "running" else 0.0))
        return left / max(1, sum(status == "running" for status in self.status.values()))

    def _enter(self, run: PlannedRun, status: str) -> None:
        self.runs[run.name], self.status[run.name] = run, status

    def _note(self, run: PlannedRun) -> str:
        self._enter(run, "done")
        report = self.costs.read(files_of(run))
        rule, value = report.selection.rule, report.selection.chosen.value
        best = -math.inf if self.best is None else merit(self.best[1], self.best[0])
        if value is not None and merit(rule, value) > best:
            self.best = (value, rule, run)
        return _score(rule, value)

    def _say(self, line: str) -> None:
        self.console.print(Text(line if self.live else f"{line} [{self.summary()}]"))

    def _running(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for name, status in self.status.items():
            if status == "running":
                spent = duration(time.monotonic() - self.since[name])
                table.add_row("running", Text(self.runs[name].settings), spent)
        return table


def _score(rule: str, value: float | None) -> str:
    return f"validation {rule} {'-' if value is None else f'{100 * value:.1f}'}"
