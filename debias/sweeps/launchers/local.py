"""The launcher for this machine: forks a process for each run from a prepared one."""

import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from debias.errors import check_at_least
from debias.sweeps.files import files_of
from debias.sweeps.launchers.signals import PATIENCE, StopSignals
from debias.sweeps.launchers.worker import BUSY, Failures, Train, attempt
from debias.sweeps.plan import PlannedRun
from debias.sweeps.progress import Progress

#: What takes seconds to import and every run needs.
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

    A run that fails leaves its traceback and is tried again; a process that is killed is replaced,
    and its run goes on from the last checkpoint. Runs that another sweep trains are left to it, and
    taken over should it die. Where there are several GPUs the workers take turns in choosing one.

    Args:
        workers: runs at a time.
        threads: of each worker; ``None`` shares the cores out among the workers.
        retries: further attempts at a run that failed; none where the run was refused.

    Raises:
        ValueError: a number is out of range.
    """

    workers: int = 2
    threads: int | None = None
    retries: int = 1

    def __post_init__(self) -> None:
        threads = 1 if self.threads is None else self.threads
        check_at_least(1, {"workers": self.workers, "threads": threads})
        check_at_least(0, {"retries": self.retries})

    def __call__(self, runs: Iterable[PlannedRun], train: Train, progress: Progress) -> None:
        """Train runs.

        Args:
            runs: what to train, in this order; the next is asked for when a worker is free.
            train: trains one of them, in a process of its own.
            progress: shows what happens.

        Raises:
            KeyboardInterrupt: the sweep was stopped, and no worker is left; a second Ctrl-C does
                not wait for them.
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
        self.source, self.train, self.progress = iter(runs), train, progress
        self.waiting: list[PlannedRun] = []
        self.slots = set(range(options.workers))
        self.threads = options.threads or max(1, _cores() // options.workers)
        self.active: dict[int, tuple[BaseProcess, PlannedRun]] = {}
        self.failures = Failures(progress, options.retries)
        self.context = get_context("forkserver")
        self.context.set_forkserver_preload(list(PRELOADED))

    def work(self, signals: StopSignals) -> None:
        """Start, wait and reap until no run is left, or a signal comes."""
        while True:
            signals.check()
            self.waiting = [run for run in self.waiting if not self.progress.finished(run)]
            for slot in sorted(self.slots - self.active.keys()):
                try:
                    self._start(slot)
                except (EOFError, OSError):
                    signals.check()  # a signal to the whole process group ends the fork server too
                    raise
            if not (self.waiting or self.active):
                return
            self.progress.show()
            wait([process.sentinel for process, _ in self.active.values()], timeout=PATIENCE)
            for slot, (process, run) in list(self.active.items()):
                if not process.is_alive():
                    del self.active[slot]
                    self._ended(run, process.exitcode or 0)

    def stop(self, signals: StopSignals) -> None:
        """End the workers: from the checkpoint of their last epoch the same command goes on."""
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

    def _start(self, slot: int) -> None:
        run = self._next()
        if run:
            given = (run, self.train, self.threads, slot)
            process = self.context.Process(target=attempt, args=given, name=run.name)
            process.start()
            self.active[slot] = (process, run)
            self.progress.started(run)

    def _next(self) -> PlannedRun | None:
        """The first that no process trains, of those that wait, then of those to ask for."""
        run = next((run for run in self.waiting if not files_of(run).locked()), None)
        if run:
            self.waiting.remove(run)
            return run
        for run in self.source:
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
        elif self.failures.note(run, code, _death(code), printed=files_of(run).log):
            self.waiting.insert(0, run)


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _death(code: int) -> str:
    if code < 0:
        return f"the process was ended by {signal.Signals(-code).name}"
    return f"the process ended with code {code} and no report"
