"""The launcher for a cluster: job arrays of Slurm, an element for each run.

The launcher asks ``squeue`` alone, which answers without accounting, also about tasks that have
just ended. The next look finds a task whose process died, whose node failed, or that Slurm has
forgotten. Nothing waits for a job to report its end. submitit is not used: without accounting it
waits for ever for a killed job, and it decides by a job's running time whether to submit it again.
Runs have their own checkpoints.

On a shared file system the launcher assumes that a renamed file is seen by other nodes within the
interval ``poll``, and, for several sweeps in one folder, that ``flock`` is honoured between nodes.
"""

import secrets
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from debias.errors import InputError, check_at_least
from debias.sweeps.files import files_of
from debias.sweeps.launchers import slurm_jobs
from debias.sweeps.launchers.signals import StopSignals
from debias.sweeps.launchers.slurm_jobs import VANISHED, Key, Resources, SlurmError, Task
from debias.sweeps.launchers.slurm_task import names, write_listing
from debias.sweeps.launchers.worker import Failures, Train
from debias.sweeps.plan import PlannedRun
from debias.sweeps.progress import Progress

#: Seconds that Slurm may leave unanswered, as while its controller is restarted.
PATIENCE = 600.0
#: Seconds that cancelled jobs are waited for.
FAREWELL = 60.0


@dataclass(frozen=True, kw_only=True)
class Slurm(Resources):
    """Trains runs as the elements of job arrays.

    A run that is preempted, requeued, out of time, killed, or on a node that fails goes on from the
    checkpoint of its last epoch. Jobs that a launcher which was killed has left in the queue are
    taken over.

    Args:
        retries: further attempts at a run that failed; none where it was refused. An attempt that
            ended from outside after a further checkpoint is no failure.
        poll: seconds between two looks.

    Raises:
        ValueError: a number is out of range.
    """

    retries: int = 1
    poll: float = 10.0

    def __post_init__(self) -> None:
        parallel = 1 if self.array_parallelism is None else self.array_parallelism
        check_at_least(0, {"gpus_per_run": self.gpus_per_run, "retries": self.retries})
        check_at_least(1, {"cpus_per_run": self.cpus_per_run, "array_parallelism": parallel})
        check_at_least(0.1, {"poll": self.poll})

    def __call__(self, runs: Sequence[PlannedRun], train: Train, progress: Progress) -> None:
        """Train runs.

        Args:
            runs: what to train, in this order.
            train: trains one of them, in a job.
            progress: shows what happens.

        Raises:
            ValueError: Slurm refuses the jobs or is silent for long, or another launcher submits
                the runs of this folder.
            KeyboardInterrupt: the sweep was stopped, and its jobs cancelled; a second Ctrl-C does
                not wait for their end.
        """
        if not runs:
            return
        folder = Path(runs[0].config.out) / "slurm"
        folder.mkdir(parents=True, exist_ok=True)
        with StopSignals() as signals:
            try:
                held = FileLock(folder / "launcher.lock", timeout=0).acquire()
            except Timeout:
                what = f"another sweep submits the runs of {folder.parent}"
                raise InputError(f"{what}: stop it, or wait for its end") from None
            with held:
                _Queue(self, runs, train, progress, folder).work(signals)


class _Queue:
    """A sweep in Slurm's queue."""

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
        """Look and submit until no run is left, or a signal comes."""
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
            signals.check()  # Ctrl-C in a terminal ends Slurm's commands too
            if self.answered is None or time.monotonic() - self.answered > PATIENCE:
                remedy = "once that is put right, the same command goes on"
                raise InputError(f"{error}; {remedy}") from error

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
        self.checkpoints |= {run.name: _last_checkpoint(run) for run in runs}

    def _look(self, there: dict[Key, Task]) -> None:
        self.waiting = [run for run in self.waiting if not self.progress.finished(run)]
        for key, run in list(self.tasks.items()):
            task = there.get(key, VANISHED)
            if self.progress.finished(run):
                del self.tasks[key]
                if task.state == "PENDING":  # preempted in its last moment
                    slurm_jobs.cancel([task.number])
            elif not task.ended:
                self.ended.discard(key)
                self._note(run, task)
            elif key not in self.ended:
                # until the next look, by when other nodes' files will be there
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
        # another sweep may hold it, or a node that died and has not been missed yet
        if not files.locked():
            went_on = _last_checkpoint(run) > self.checkpoints[run.name]
            if went_on and not files.error.is_file() and task.state != "CANCELLED":
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
        """End the jobs: from the checkpoints of their last epochs the same command goes on."""
        end = time.monotonic() + FAREWELL
        with suppress(SlurmError):
            while active := _active(self.arrays).values():
                if time.monotonic() > end:
                    return
                going = [task.number for task in active if task.state != "COMPLETING"]
                slurm_jobs.cancel({number.partition("_")[0] for number in going})
                signals.sleep(1)


def _active(arrays: Collection[str]) -> dict[Key, Task]:
    return {key: task for key, task in slurm_jobs.queue(arrays).items() if not task.ended}


def _last_checkpoint(run: PlannedRun) -> float:
    return max((path.stat().st_mtime for path in run.folder.rglob("*.ckpt")), default=0.0)
