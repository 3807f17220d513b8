"""The launcher for this machine. It forks one process per run, with the packages imported."""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from multiprocessing import forkserver, get_context
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess

from debias.devices import usable_cores
from debias.errors import check_at_least, check_positive
from debias.sweeps.launchers.pieces import TimedTraining
from debias.sweeps.launchers.pool import End, Pool
from debias.sweeps.launchers.signals import PATIENCE, StopSignals
from debias.sweeps.launchers.worker import Train, attempt
from debias.sweeps.plan import PlannedRun
from debias.sweeps.progress import Progress

#: The module that the fork server imports once.
PRELOADED = "debias.sweeps.launchers.preloaded"


def fork_context() -> ForkServerContext:
    """Makes processes that are forked from one which has imported the packages."""
    context = get_context("forkserver")
    context.set_forkserver_preload([PRELOADED])
    return context


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

    def prepare(self) -> None:
        """Start the fork server. It imports the packages beside the imports of this process."""
        fork_context()
        forkserver.ensure_running()

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
        if self.minutes is not None:
            train = TimedTraining(train, self.deadline)
        threads = self.threads or max(1, usable_cores() // self.workers)
        engine = Processes(self.workers, threads, train)
        Pool(engine, runs, progress, retries=self.retries, deadline=self.deadline).work()


class Processes:
    """Attempts in processes of this machine, forked from one that has imported the packages.

    Args:
        workers: number of attempts at a time. Each has a slot, which decides its GPU.
        threads: threads of each.
        train: the function that trains one run.
    """

    def __init__(self, workers: int, threads: int, train: Train) -> None:
        self.slots, self.threads, self.train = set(range(workers)), threads, train
        self.processes: dict[int, tuple[BaseProcess, PlannedRun]] = {}
        self.context = fork_context()

    @property
    def active(self) -> int:
        """The number of processes."""
        return len(self.processes)

    def room(self) -> bool:
        """Whether a slot is free."""
        return self.active < len(self.slots)

    def start(self, run: PlannedRun) -> None:
        """Fork a process."""
        slot = min(self.slots - self.processes.keys())
        arguments = (run, self.train, self.threads, slot)
        process = self.context.Process(target=attempt, args=arguments, name=run.name)
        process.start()
        self.processes[slot] = (process, run)

    def ended(self, seconds: float) -> list[End]:
        """The processes that have ended."""
        wait([process.sentinel for process, _ in self.processes.values()], timeout=seconds)
        dead = [slot for slot, (process, _) in self.processes.items() if not process.is_alive()]
        pairs = [self.processes.pop(slot) for slot in dead]
        return [End(run, process.exitcode or 0) for process, run in pairs]

    def stop(self, signals: StopSignals) -> None:
        """End the processes. The same command resumes their runs from the last checkpoint."""
        processes = [process for process, _ in self.processes.values()]
        for process in processes:
            process.terminate()
        try:
            while alive := [process.sentinel for process in processes if process.is_alive()]:
                signals.check()
                wait(alive, timeout=PATIENCE)
        finally:
            for process in processes:
                process.kill()
