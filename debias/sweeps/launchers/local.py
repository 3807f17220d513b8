"""The launcher for this machine. It forks one process per run, with the packages imported."""

import math
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from debias.devices import usable_cores
from debias.errors import check_at_least, check_positive
from debias.sweeps.files import files_of
from debias.sweeps.launchers.pieces import OutOfTime, TimedTraining, has_progress
from debias.sweeps.launchers.signals import PATIENCE, StopSignals
from debias.sweeps.launchers.worker import BUSY, LATER, Failures, Train, attempt
from debias.sweeps.plan import PlannedRun
from debias.sweeps.progress import Progress

#: Modules that the fork server imports once, because every run needs them and they take seconds.
PRELOADED = (
    "debias.sweeps.launchers.worker",
    "debias.build",
    "debias.runs.outcome",
    "debias.reports.page",
    "albumentations.pytorch",
    "torch.utils.tensorboard",
)


@dataclass(frozen=True, kw_only=True)
class Local:
    """Trains runs on this machine, several at a time.

    If a run fails, its traceback is saved and the run is tried again. If its process is killed,
    another one resumes the run from the last checkpoint. A run that another sweep trains is
    skipped until that sweep ends or dies. With several GPUs, the workers use them in turn.

    Args:
        workers: number of runs at a time.
        threads: threads of each worker; ``None`` divides the cores among the workers.
        retries: further attempts at a run that failed. After an ``InputError`` there are none.
        minutes: time after which the launcher stops, counted from its construction; ``None`` works
            until no run is left. A run ends after an epoch, if the next one does not fit.

    Raises:
        ValueError: ``workers`` or ``threads`` is below 1, ``retries`` below 0, or ``minutes`` not
            positive.
    """

    workers: int = 2
    threads: int | None = None
    retries: int = 1
    minutes: float | None = None
    begun: float = field(default_factory=time.monotonic, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        threads = 1 if self.threads is None else self.threads
        check_at_least(1, {"workers": self.workers, "threads": threads})
        check_at_least(0, {"retries": self.retries})
        check_positive({"minutes": 1 if self.minutes is None else self.minutes})

    @property
    def deadline(self) -> float:
        """The time of ``time.monotonic`` at which the minutes are over."""
        return math.inf if self.minutes is None else self.begun + 60 * self.minutes

    def __call__(self, runs: Iterable[PlannedRun], train: Train, progress: Progress) -> None:
        """Train runs in worker processes, and return when none is left.

        Args:
            runs: runs to train, in this order. The next is fetched when a worker is free.
            train: the function that trains one run, called in a process of its own.
            progress: shows the events.

        Raises:
            KeyboardInterrupt: Ctrl-C or SIGTERM stopped the sweep, and all workers have ended.
                After a second signal, the launcher does not wait for them.
            OutOfTime: the minutes are over, and all workers have ended. The message says if no run
                has come further.
        """
        pool = _Pool(self, runs, train, progress)
        with StopSignals() as signals:
            try:
                pool.work(signals)
            finally:
                pool.stop(signals)


class _Pool:
    def __init__(
        self, options: Local, runs: Iterable[PlannedRun], train: Train, progress: Progress
    ) -> None:
        self.upcoming, self.train, self.progress = iter(runs), train, progress
        self.deadline, self.since = options.deadline, time.time()
        if options.minutes is not None:
            self.train = TimedTraining(train, self.deadline)
        self.late, self.trained = False, list[PlannedRun]()
        self.waiting: list[PlannedRun] = []
        self.slots = set(range(options.workers))
        self.threads = options.threads or max(1, usable_cores() // options.workers)
        self.active: dict[int, tuple[BaseProcess, PlannedRun]] = {}
        self.failures = Failures(progress, options.retries)
        self.context = get_context("forkserver")
        self.context.set_forkserver_preload(list(PRELOADED))

    def work(self, signals: StopSignals) -> None:
        """Start workers and collect their results until no run is left.

        Raises:
            KeyboardInterrupt: a signal arrived.
            OutOfTime: the deadline has passed, or all runs have ended before it for lack of time.
        """
        while True:
            signals.check()
            self.waiting = [run for run in self.waiting if not self.progress.finished(run)]
            if self._out_of_time():
                raise OutOfTime(self._ending())
            if not self.late:
                self._start_all(signals)
            if not (self.waiting or self.active):
                return
            self.progress.show()
            wait([process.sentinel for process, _ in self.active.values()], timeout=PATIENCE)
            for slot, (process, run) in list(self.active.items()):
                if not process.is_alive():
                    del self.active[slot]
                    self._ended(run, process.exitcode or 0)

    def stop(self, signals: StopSignals) -> None:
        """End the workers. The same command resumes their runs from the last checkpoint."""
        processes = [process for process, _ in self.active.values()]
        for process in processes:
            process.terminate()
        try:
            while alive := [process.sentinel for process in processes if process.is_alive()]:
                signals.check()
                wait(alive, timeout=PATIENCE)
        finally:
            for process in processes:
                process.kill()

    def _out_of_time(self) -> bool:
        """Whether to stop now. A run that ended for lack of time lets the others finish theirs."""
        return time.monotonic() >= self.deadline or (self.late and not self.active)

    def _ending(self) -> str:
        if has_progress(self.trained, self.since):
            return "the time is over"
        return "the time is over before any run has finished an epoch: give more minutes"

    def _start_all(self, signals: StopSignals) -> None:
        for slot in sorted(self.slots - self.active.keys()):
            try:
                self._start(slot)
            except (EOFError, OSError):
                signals.check()  # a signal to the process group also ends the fork server
                raise

    def _start(self, slot: int) -> None:
        run = self._next()
        if run:
            arguments = (run, self.train, self.threads, slot)
            process = self.context.Process(target=attempt, args=arguments, name=run.name)
            process.start()
            self.active[slot] = (process, run)
            self.trained.append(run)
            self.progress.started(run)

    def _next(self) -> PlannedRun | None:
        """The next run that no process trains: from the waiting ones, then from the upcoming."""
        run = next((run for run in self.waiting if not files_of(run).locked()), None)
        if run:
            self.waiting.remove(run)
            return run
        for run in self.upcoming:
            if not self.progress.finished(run):
                if not files_of(run).locked():
                    return run
                self.waiting.append(run)
        return None

    def _ended(self, run: PlannedRun, code: int) -> None:
        if self.progress.finished(run):
            return
        if code == BUSY:
            self.waiting.append(run)
        elif code == LATER:
            self.late = True
            self.progress.stopped(run, "its next epoch does not fit into the time left")
        elif self.failures.note(run, code, _death(code), printed=files_of(run).log):
            self.waiting.insert(0, run)


def _death(code: int) -> str:
    if code < 0:
        return f"the process was ended by {signal.Signals(-code).name}"
    return f"the process ended with code {code} and no report"
