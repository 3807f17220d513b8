"""The launcher for this machine. It forks one process per run, with the packages imported."""

import signal
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from debias.devices import usable_cores
from debias.errors import check_at_least
from debias.sweeps.files import files_of
from debias.sweeps.launchers.signals import PATIENCE, StopSignals
from debias.sweeps.launchers.worker import BUSY, Failures, Train, attempt
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

    Raises:
        ValueError: ``workers`` or ``threads`` is below 1, or ``retries`` below 0.
    """

    workers: int = 2
    threads: int | None = None
    retries: int = 1

    def __post_init__(self) -> None:
        threads = 1 if self.threads is None else self.threads
        check_at_least(1, {"workers": self.workers, "threads": threads})
        check_at_least(0, {"retries": self.retries})

    def __call__(self, runs: Iterable[PlannedRun], train: Train, progress: Progress) -> None:
        """Train runs in worker processes, and return when none is left.

        Args:
            runs: runs to train, in this order. The next is fetched when a worker is free.
            train: the function that trains one run, called in a process of its own.
            progress: shows the events.

        Raises:
            KeyboardInterrupt: Ctrl-C or SIGTERM stopped the sweep, and all workers have ended.
                After a second signal, the launcher does not wait for them.
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
        """
        while True:
            signals.check()
            self.waiting = [run for run in self.waiting if not self.progress.finished(run)]
            for slot in sorted(self.slots - self.active.keys()):
                try:
                    self._start(slot)
                except (EOFError, OSError):
                    signals.check()  # a signal to the process group also ends the fork server
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

    def _start(self, slot: int) -> None:
        run = self._next()
        if run:
            arguments = (run, self.train, self.threads, slot)
            process = self.context.Process(target=attempt, args=arguments, name=run.name)
            process.start()
            self.active[slot] = (process, run)
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
        elif self.failures.note(run, code, _death(code), printed=files_of(run).log):
            self.waiting.insert(0, run)


def _death(code: int) -> str:
    if code < 0:
        return f"the process was ended by {signal.Signals(-code).name}"
    return f"the process ended with code {code} and no report"
