"""The launcher for this machine: forks a process for each run from a prepared one."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from debias.errors import InputError
from debias.files import write_atomically
from debias.sweeps.files import files_of
from debias.sweeps.launchers.signals import PATIENCE, StopSignals
from debias.sweeps.launchers.worker import BUSY, REFUSED, Train, attempt
from debias.sweeps.plan import Run
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


def local(
    runs: Iterable[Run],
    train: Train,
    progress: Progress,
    *,
    workers: int = 2,
    threads: int | None = None,
    retries: int = 1,
) -> None:
    """Train runs on this machine, several at a time.

    A run that fails leaves its traceback and is tried again; a process that is killed is replaced,
    and its run goes on from the last checkpoint. Runs that another sweep trains are left to it, and
    taken over should it die. Where there are several GPUs the workers take turns in choosing one.

    Args:
        runs: what to train, in this order; the next is asked for when there is a worker for it.
        train: trains one of them, in a process of its own.
        progress: is told what happens.
        workers: runs at a time.
        threads: of each worker; ``None`` shares the cores out among the workers.
        retries: further attempts at a run that failed; none where the run was refused.

    Raises:
        ValueError: a number is out of range.
        KeyboardInterrupt: the sweep was stopped, and no worker is left; a second Ctrl-C does not
            wait for them.
    """
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    for name, value, least in (
        ("workers", workers, 1),
        ("threads", threads, 1),
        ("retries", retries, 0),
    ):
        if value is not None and value < least:
            raise InputError(f"{name} must be at least {least}; got {value}")
    pool = _Pool(runs, train, progress, workers, threads or max(1, cores // workers), retries)
    with StopSignals() as signals:
        try:
            pool.work(signals)
        finally:
            pool.stop(signals)


class _Pool:
    def __init__(
        self,
        runs: Iterable[Run],
        train: Train,
        progress: Progress,
        workers: int,
        threads: int,
        retries: int,
    ) -> None:
        self.source, self.train, self.progress = iter(runs), train, progress
        self.waiting: list[Run] = []
        self.workers, self.threads, self.retries = workers, threads, retries
        self.active: dict[int, tuple[BaseProcess, Run]] = {}
        self.failures: Counter[str] = Counter()
        self.context = get_context("forkserver")
        self.context.set_forkserver_preload(list(PRELOADED))

    def work(self, signals: StopSignals) -> None:
        """Start, wait and reap until no run is left, or a signal comes."""
        while True:
            signals.check()
            self.waiting = [run for run in self.waiting if not self.progress.finished(run)]
            for slot in sorted(set(range(self.workers)) - self.active.keys()):
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
            process = self.context.Process(
                target=attempt, args=(run, self.train, self.threads, slot), name=run.name
            )
            process.start()
            self.active[slot] = (process, run)
            self.progress.started(run)

    def _next(self) -> Run | None:
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

    def _ended(self, run: Run, code: int) -> None:
        files = files_of(run)
        if self.progress.finished(run):
            return
        if code == BUSY:
            self.waiting.append(run)
        else:
            if not files.error.is_file():
                with suppress(OSError):  # on a full disk; the others go on
                    write_atomically(
                        files.error, f"{_death(code)}; what it printed is in {files.log}\n"
                    )
            self.failures[run.name] += 1
            again = code != REFUSED and self.failures[run.name] <= self.retries
            self.progress.failed(run, files.reason() or _death(code), again=again)
            if again:
                self.waiting.insert(0, run)


def _death(code: int) -> str:
    if code < 0:
        return f"the process was ended by {signal.Signals(-code).name}"
    return f"the process ended with code {code} and no report"
