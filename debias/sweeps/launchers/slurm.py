"""The launcher for a Slurm cluster. Each run is a task of a job array.

The launcher only polls ``squeue``, which needs no accounting and also lists tasks that have just
ended. The next poll therefore finds a task whose process died, whose node failed, or that Slurm has
forgotten. The launcher never waits for a job to report its own end.

It does not use submitit. Without accounting, submitit waits forever for a killed job. It also
decides by a job's running time whether to submit it again. Runs have their own checkpoints.

On a shared file system, other nodes must see a renamed file within ``poll`` seconds. If several
sweeps use one folder, ``flock`` must work between nodes.
"""

import secrets
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from debias.errors import InputError, check_at_least
from debias.places import runs_folder
from debias.sweeps.files import files_of, last_checkpoint
from debias.sweeps.launchers import slurm_jobs
from debias.sweeps.launchers.signals import StopSignals
from debias.sweeps.launchers.slurm_jobs import VANISHED, Key, Resources, SlurmError, Task
from debias.sweeps.launchers.slurm_task import names, write_listing
from debias.sweeps.launchers.worker import Failures, Train
from debias.sweeps.plan import PlannedRun
from debias.sweeps.progress import Progress

#: Seconds without an answer from Slurm before an error, long enough for a controller's restart.
PATIENCE = 600.0
#: Seconds to wait for the end of cancelled jobs.
FAREWELL = 60.0


@dataclass(frozen=True, kw_only=True)
class Slurm(Resources):
    """Trains runs as tasks of Slurm job arrays.

    A run resumes from the checkpoint of its last epoch after preemption, requeueing, a time-out, a
    kill or a node failure. The launcher also takes over jobs that a killed launcher has left in the
    queue.

    Args:
        retries: further attempts at a run that failed. After an ``InputError`` there are none. An
            attempt is no failure if it was ended from outside and left a new checkpoint.
        poll: seconds between two polls of the queue.

    Raises:
        ValueError: ``gpus_per_run`` or ``retries`` is below 0, ``cpus_per_run`` or
            ``array_parallelism`` below 1, or ``poll`` below 0.1.
    """

    retries: int = 1
    poll: float = 10.0

    def __post_init__(self) -> None:
        parallel = 1 if self.array_parallelism is None else self.array_parallelism
        check_at_least(0, {"gpus_per_run": self.gpus_per_run, "retries": self.retries})
        check_at_least(1, {"cpus_per_run": self.cpus_per_run, "array_parallelism": parallel})
        check_at_least(0.1, {"poll": self.poll})

    def prepare(self) -> None:
        """Check that the commands of Slurm are installed.

        Raises:
            ValueError: they are not.
        """
        slurm_jobs.check_installed("sbatch")

    def __call__(self, runs: Sequence[PlannedRun], train: Train, progress: Progress) -> None:
        """Submit runs to Slurm, and return when none is left.

        Args:
            runs: runs to train, in this order.
            train: the function that trains one run, called in a job.
            progress: shows the events.

        Raises:
            ValueError: Slurm refuses the jobs or does not answer for ``PATIENCE`` seconds, or
                another launcher submits the runs of this folder.
            KeyboardInterrupt: Ctrl-C or SIGTERM stopped the sweep, and its jobs were cancelled.
                After a second signal, the launcher does not wait for their end.
        """
        if not runs:
            return
        folder = runs_folder(runs[0].config) / "slurm"
        folder.mkdir(parents=True, exist_ok=True)
        with StopSignals() as signals:
            try:
                lock = FileLock(folder / "launcher.lock", timeout=0).acquire()
            except Timeout:
                reason = f"another sweep submits the runs of {folder.parent}"
                raise InputError(f"{reason}. Stop it, or wait for its end") from None
            with lock:
                _Queue(self, runs, train, progress, folder).work(signals)


class _Queue:
    """The runs of one sweep that wait or are tasks in Slurm's queue."""

    def __init__(
        self,
        options: Slurm,
        runs: Sequence[PlannedRun],
        train: Train,
        progress: Progress,
        folder: Path,
    ) -> None:
        self.options, self.train, self.progress = options, train, progress
        self.waiting, self.folder = list(runs), folder
        self.failures = Failures(progress, options.retries)
        self.tasks: dict[Key, PlannedRun] = {}
        self.arrays: set[str] = set()
        self.running: set[str] = set()
        self.ended: set[Key] = set()
        self.checkpoints: dict[str, float] = {}
        self.answered: float | None = None

    def work(self, signals: StopSignals) -> None:
        """Poll the queue and submit runs until none is left. A signal cancels the jobs."""
        try:
            while self.waiting or self.tasks:
                self._round(signals)
                self.progress.show()
                signals.sleep(self.options.poll if self.waiting or self.tasks else 0)
        except KeyboardInterrupt:
            self._cancel(signals)
            raise

    def _round(self, signals: StopSignals) -> None:
        try:
            if self.answered is None:
                self._take_over()
            self._look(slurm_jobs.queue(self.arrays))
            self._submit()
            self.answered = time.monotonic()
        except SlurmError as error:
            signals.check()  # Ctrl-C in a terminal also ends Slurm's commands
            if self.answered is None or time.monotonic() - self.answered > PATIENCE:
                remedy = "Repair this, and start the same command again to continue"
                raise InputError(f"{error}. {remedy}") from error

    def _take_over(self) -> None:
        listings = {path.stem: path for path in self.folder.glob("debias-*.json")}
        active = _active(listings)
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

    def _enter(self, tasks: dict[Key, PlannedRun]) -> None:
        self.tasks |= tasks
        self.arrays |= {key.array for key in tasks}
        entered = {run.name for run in tasks.values()}
        self.waiting = [run for run in self.waiting if run.name not in entered]

    def _note_checkpoints(self, runs: Iterable[PlannedRun]) -> None:
        self.checkpoints |= {run.name: last_checkpoint(run) for run in runs}

    def _look(self, queue: dict[Key, Task]) -> None:
        self.waiting = [run for run in self.waiting if not self.progress.finished(run)]
        for key, run in list(self.tasks.items()):
            task = queue.get(key, VANISHED)
            if self.progress.finished(run):
                del self.tasks[key]
                if task.state == "PENDING":  # preempted after its report was written
                    slurm_jobs.cancel([task.number])
            elif not task.ended:
                self.ended.discard(key)
                self._note(run, task)
            elif key not in self.ended:
                # judged at the next poll, when this machine sees the files of other nodes
                self.ended.add(key)
            else:
                del self.tasks[key]
                self._judge(run, task, key)

    def _note(self, run: PlannedRun, task: Task) -> None:
        if task.stuck:
            slurm_jobs.cancel([task.number])
        elif task.state == "RUNNING" and run.name not in self.running:
            self.running.add(run.name)
            self.progress.started(run)
        elif task.state == "PENDING" and run.name in self.running:
            self.running.remove(run.name)
            self.progress.stopped(run, f"Slurm queued job {task.number} again")

    def _judge(self, run: PlannedRun, task: Task, key: Key) -> None:
        files = files_of(run)
        self.running.discard(run.name)
        again = True
        # another sweep may hold the lock, or a dead node that the file system still counts as alive
        if not files.locked():
            advanced = last_checkpoint(run) > self.checkpoints[run.name]
            if advanced and not files.error.is_file() and task.state != "CANCELLED":
                self.progress.stopped(run, task.end)
            else:
                printed = f"{files.log} or {self.folder / key.array}_{key.element}.txt"
                again = self.failures.note(run, task.code, task.end, printed=printed)
        if again:
            self.waiting.insert(0, run)

    def _submit(self) -> None:
        room = (self.options.array_parallelism if self.tasks else None) or slurm_jobs.LONGEST_ARRAY
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
        write_listing(listing, batch, self.train, self.options.cpus_per_run)
        slurm_jobs.call(self.options.sbatch(listing, len(batch)))
        self._enter({Key(array, element): run for element, run in enumerate(batch)})

    def _cancel(self, signals: StopSignals) -> None:
        """Cancel the jobs. The same command resumes their runs from the last checkpoints."""
        end = time.monotonic() + FAREWELL
        with suppress(SlurmError):
            while active := _active(self.arrays).values():
                if time.monotonic() > end:
                    return
                numbers = [task.number for task in active if task.state != "COMPLETING"]
                slurm_jobs.cancel({number.partition("_")[0] for number in numbers})
                signals.sleep(1)


def _active(arrays: Collection[str]) -> dict[Key, Task]:
    return {key: task for key, task in slurm_jobs.queue(arrays).items() if not task.ended}
