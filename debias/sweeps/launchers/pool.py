"""Attempts at runs, several at a time: start them, and judge their ends until no run is left.

The local launcher and Ray's share this loop. An :class:`Engine` says where an attempt computes.
"""

import math
import signal
import time
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from debias.storage.urls import is_url
from debias.sweeps.files import files_of, last_checkpoint
from debias.sweeps.launchers.pieces import OutOfTime, has_progress
from debias.sweeps.launchers.signals import PATIENCE, StopSignals
from debias.sweeps.launchers.worker import BUSY, LATER, Failures
from debias.sweeps.plan import PlannedRun
from debias.sweeps.progress import Progress

#: Seconds until a run that another process trains is tried again.
PAUSE = 10.0


class End(NamedTuple):
    """How an attempt at a run ended.

    Attributes:
        run: the run.
        code: exit code of its process, as in ``debias.sweeps.launchers.worker``; negative for the
            number of a signal.
        machine: how the attempt was ended from outside, such as by the loss of its node. It is
            empty if the process ended by itself.
    """

    run: PlannedRun
    code: int
    machine: str = ""

    @property
    def words(self) -> str:
        """A message for a run that wrote no reason itself."""
        if self.machine:
            return self.machine
        if self.code < 0:
            return f"the process was ended by {signal.Signals(-self.code).name}"
        return f"the process ended with code {self.code} and no report"


class Engine(Protocol):
    """Where attempts compute. It knows those that have been started and have not ended."""

    @property
    def active(self) -> int:
        """The number of attempts that have not ended."""

    def room(self) -> bool:
        """Whether another attempt can start now."""

    def start(self, run: PlannedRun) -> None:
        """Start an attempt, which calls ``debias.sweeps.launchers.worker.attempt``."""

    def ended(self, seconds: float) -> list[End]:
        """The attempts that have ended, after waiting at most some seconds for the first."""

    def stop(self, signals: StopSignals) -> None:
        """End all attempts, and wait for them. A second signal ends the waiting."""


class Pool:
    """The runs of one launcher that wait or have an attempt.

    Args:
        engine: where attempts compute.
        runs: runs to train, in this order. The next is fetched when there is room.
        progress: shows the events.
        retries: further attempts at a run that failed. After an ``InputError`` there are none. An
            attempt that was ended from outside after a new checkpoint has not failed.
        deadline: time of ``time.monotonic`` at which to stop.
    """

    def __init__(
        self,
        engine: Engine,
        runs: Iterable[PlannedRun],
        progress: Progress,
        *,
        retries: int,
        deadline: float = math.inf,
    ) -> None:
        self.engine, self.upcoming, self.progress = engine, iter(runs), progress
        self.deadline, self.late = deadline, False
        self.waiting: list[PlannedRun] = []
        self.checkpoints: dict[str, float] = {}
        self.busy: dict[str, float] = {}
        self.failures = Failures(progress, retries)

    def work(self) -> None:
        """Start attempts and collect their results until no run is left.

        Raises:
            KeyboardInterrupt: a signal arrived, and all attempts have ended.
            OutOfTime: the deadline has passed, or all runs have ended before it for lack of time.
        """
        with StopSignals() as signals:
            try:
                self._work(signals)
            finally:
                self.engine.stop(signals)

    def _work(self, signals: StopSignals) -> None:
        while True:
            signals.check()
            self.waiting = [run for run in self.waiting if not self.progress.finished(run)]
            if self._out_of_time():
                raise OutOfTime(self._ending())
            if not self.late:
                self._start_all(signals)
            if not (self.waiting or self.engine.active):
                return
            self.progress.show()
            for end in self.engine.ended(PATIENCE):
                self._judge(end)

    def _out_of_time(self) -> bool:
        """Whether to stop now. A run that ended for lack of time lets the others finish theirs."""
        return time.monotonic() >= self.deadline or (self.late and not self.engine.active)

    def _ending(self) -> str:
        # the whole command counts: this pool may be the second, of heads on trained backbones
        if has_progress(self.progress.tried.values(), self.progress.begun):
            return "the time is over"
        return "the time is over before any run has finished an epoch: give more minutes"

    def _start_all(self, signals: StopSignals) -> None:
        while self.engine.room() and (run := self._next()):
            try:
                self.engine.start(run)
            except (EOFError, OSError):
                signals.check()  # a signal to the process group also ends the engine's processes
                raise
            self.checkpoints[run.name] = last_checkpoint(run)
            self.progress.started(run)

    def _next(self) -> PlannedRun | None:
        """The next run that no process trains: from the waiting ones, then from the upcoming."""
        run = next((run for run in self.waiting if not self._is_busy(run)), None)
        if run:
            self.waiting.remove(run)
            return run
        for run in self.upcoming:
            if not self.progress.finished(run):
                if not files_of(run).locked():
                    return run
                self.waiting.append(run)
        return None

    def _is_busy(self, run: PlannedRun) -> bool:
        """Whether a process of this machine trains the run, or one of another did just now."""
        return self.busy.get(run.name, 0.0) > time.monotonic() or files_of(run).locked()

    def _judge(self, end: End) -> None:
        run = end.run
        if self.progress.finished(run):
            return
        if end.code == BUSY:
            if is_url(run.config.out):  # another machine may train it, which `locked` does not see
                self.busy[run.name] = time.monotonic() + PAUSE
            self.waiting.append(run)
            self.progress.busy(run)
        elif end.code == LATER:
            self.late = True
            self.progress.stopped(run, "its next epoch does not fit into the time left")
        elif end.machine and last_checkpoint(run) > self.checkpoints[run.name]:
            self.waiting.insert(0, run)
            self.progress.stopped(run, end.machine)
        elif self.failures.note(run, end.code, end.words, printed=files_of(run).log):
            self.waiting.insert(0, run)
