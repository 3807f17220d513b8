"""What is left of a sweep, what of it Slurm has in its queue, and what to do about the rest."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from debias.errors import InputError
from debias.files import write_atomically
from debias.sweeps.files import files_of
from debias.sweeps.launchers.signals import StopSignals
from debias.sweeps.launchers.slurm_jobs import (
    LONGEST_ARRAY,
    VANISHED,
    Key,
    Resources,
    SlurmError,
    Task,
    call,
    cancel,
    queue,
)
from debias.sweeps.launchers.slurm_task import names, write_listing
from debias.sweeps.launchers.worker import REFUSED, Train
from debias.sweeps.plan import Run
from debias.sweeps.progress import Progress

#: Seconds that Slurm may leave unanswered, as while its controller is restarted.
PATIENCE = 600.0
#: Seconds that cancelled jobs are waited for.
FAREWELL = 60.0


class Launcher:
    """A sweep in Slurm's queue.

    Args:
        runs: what to train, in this order; at least one.
        train: trains one of them, in a job.
        progress: is told what happens.
        resources: that each run asks for.
        retries: further attempts at a run that failed.
        poll: seconds between two looks.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        train: Train,
        progress: Progress,
        resources: Resources,
        retries: int,
        poll: float,
    ) -> None:
        self.waiting, self.train, self.progress = list(runs), train, progress
        self.resources, self.retries, self.poll = resources, retries, poll
        self.folder = Path(runs[0].config.out) / "slurm"
        self.tasks: dict[Key, Run] = {}
        self.arrays: set[str] = set()
        self.running: set[str] = set()
        self.ended: set[Key] = set()
        self.failures: Counter[str] = Counter()
        self.checkpoints: dict[str, float] = {}
        self.answered: float | None = None

    def work(self, signals: StopSignals) -> None:
        """Look and submit until no run is left, or a signal comes."""
        try:
            while self.waiting or self.tasks:
                self._round(signals)
                self.progress.show()
                signals.sleep(self.poll if self.waiting or self.tasks else 0)
        except KeyboardInterrupt:
            self._cancel(signals)
            raise

    def _round(self, signals: StopSignals) -> None:
        try:
            if self.answered is None:
                self._take_over()
            self._look(queue(self.arrays))
            self._submit()
            self.answered = time.monotonic()
        except SlurmError as error:
            signals.check()  # Ctrl-C in a terminal ends Slurm's commands too
            if self.answered is None or time.monotonic() - self.answered > PATIENCE:
                raise InputError(
                    f"{error}; once that is put right, the same command goes on"
                ) from error

    def _take_over(self) -> None:
        listings = {path.stem: path for path in self.folder.glob("debias-*.json")}
        active = {key for key, task in queue(listings).items() if not task.ended}
        runs = {run.name: run for run in self.waiting}
        for array, path in listings.items():
            keys = [key for key in active if key.array == array]
            if not keys:
                path.unlink()
                continue
            listed = names(path)
            tasks = {key: runs[listed[key.element]] for key in keys if listed[key.element] in runs}
            self._note_checkpoints(tasks.values())
            self._enter(tasks)

    def _enter(self, tasks: dict[Key, Run]) -> None:
        self.tasks |= tasks
        self.arrays |= {key.array for key in tasks}
        entered = {run.name for run in tasks.values()}
        self.waiting = [run for run in self.waiting if run.name not in entered]

    def _note_checkpoints(self, runs: Iterable[Run]) -> None:
        self.checkpoints |= {run.name: _last_checkpoint(run) for run in runs}

    def _look(self, there: dict[Key, Task]) -> None:
        self.waiting = [run for run in self.waiting if not self.progress.finished(run)]
        for key, run in list(self.tasks.items()):
            task = there.get(key, VANISHED)
            if self.progress.finished(run):
                del self.tasks[key]
                if task.state == "PENDING":  # preempted in its last moment
                    cancel([task.number])
            elif not task.ended:
                self.ended.discard(key)
                self._note(run, task)
            elif key not in self.ended:
                # until the next look, by when other nodes' files will be there
                self.ended.add(key)
            else:
                del self.tasks[key]
                self._judge(run, task, key)

    def _note(self, run: Run, task: Task) -> None:
        if task.stuck:
            cancel([task.number])
        elif task.state == "RUNNING" and run.name not in self.running:
            self.running.add(run.name)
            self.progress.started(run)
        elif task.state == "PENDING" and run.name in self.running:
            self.running.remove(run.name)
            self.progress.stopped(run, f"Slurm queued job {task.number} again")

    def _judge(self, run: Run, task: Task, key: Key) -> None:
        files = files_of(run)
        self.running.discard(run.name)
        again = True
        if (
            not files.locked()
        ):  # by another sweep, or by a node that died and has not been missed yet
            went_on = _last_checkpoint(run) > self.checkpoints[run.name]
            if went_on and not files.error.is_file() and task.state != "CANCELLED":
                self.progress.stopped(run, task.end)
            else:
                again = self._failed(run, task, key)
        if again:
            self.waiting.insert(0, run)

    def _failed(self, run: Run, task: Task, key: Key) -> bool:
        files = files_of(run)
        if not files.error.is_file():
            printed = f"{files.log} or {self.folder / key.array}_{key.element}.txt"
            with suppress(OSError):  # on a full disk; the others go on
                write_atomically(files.error, f"{task.end}; what it printed is in {printed}\n")
        self.failures[run.name] += 1
        again = task.code != REFUSED and self.failures[run.name] <= self.retries
        self.progress.failed(run, files.reason() or task.end, again=again)
        return again

    def _submit(self) -> None:
        room = (self.resources.parallel if self.tasks else None) or LONGEST_ARRAY
        free = [run for run in self.waiting if not files_of(run).locked()]
        batch = free[: max(0, room - len(self.tasks))]
        if not batch:
            return
        for run in batch:
            files_of(run).error.unlink(missing_ok=True)
        self._note_checkpoints(batch)
        array = f"debias-{secrets.token_hex(6)}"
        self.arrays.add(array)
        listing = self.folder / f"{array}.json"
        write_listing(listing, batch, self.train, self.resources.cpus)
        call(self.resources.sbatch(listing, len(batch)))
        self._enter({Key(array, element): run for element, run in enumerate(batch)})

    def _cancel(self, signals: StopSignals) -> None:
        """End the jobs: from the checkpoints of their last epochs the same command goes on."""
        end = time.monotonic() + FAREWELL
        with suppress(SlurmError):
            while active := [task for task in queue(self.arrays).values() if not task.ended]:
                if time.monotonic() > end:
                    return
                cancel(
                    {task.number.partition("_")[0] for task in active if task.state != "COMPLETING"}
                )
                signals.sleep(1)


def _last_checkpoint(run: Run) -> float:
    return max((path.stat().st_mtime for path in run.folder.rglob("*.ckpt")), default=0.0)
