"""The launcher for a cluster: job arrays of Slurm, an element for each run.

What Slurm knows is asked of ``squeue`` alone, which answers without accounting, also about tasks
that have just ended. A task whose process died, whose node failed or of which Slurm knows nothing
any more is thus seen at the next look, and nothing waits for a job to say that it has ended. An
interface such as submitit is not used: without accounting it waits for ever for a job that was
killed, it requeues by how long a job ran, and the runs bring their own checkpoints.

On a shared file system the launcher assumes that a renamed file is seen by other nodes within the
interval ``poll``, and, for several sweeps in one folder, that ``flock`` is honoured between nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from filelock import FileLock, Timeout

from debias.errors import InputError
from debias.sweeps.launchers.signals import StopSignals
from debias.sweeps.launchers.slurm_jobs import Resources
from debias.sweeps.launchers.slurm_queue import Launcher
from debias.sweeps.launchers.worker import Train
from debias.sweeps.plan import Run
from debias.sweeps.progress import Progress


def slurm(
    runs: Sequence[Run],
    train: Train,
    progress: Progress,
    *,
    partition: str | None = None,
    gpus_per_run: int = 0,
    cpus_per_run: int = 1,
    memory: str | None = None,
    time: str | None = None,
    array_parallelism: int | None = None,
    retries: int = 1,
    poll: float = 10.0,
) -> None:
    """Train runs as the elements of job arrays.

    A run that is preempted, requeued, out of time, killed, or on a node that fails goes on from the
    checkpoint of its last epoch. Jobs that a launcher which was killed has left in the queue are
    taken over.

    Args:
        runs: what to train, in this order.
        train: trains one of them, in a job.
        progress: is told what happens.
        partition: ``None`` is Slurm's default, as for ``memory`` and ``time``.
        gpus_per_run: GPUs that each run asks for.
        cpus_per_run: processors that each run asks for, and threads that it computes with.
        memory: of each run, as ``sbatch --mem`` takes it: ``16G``.
        time: limit of each attempt, as ``sbatch --time`` takes it: minutes, ``4:00:00`` or
            ``1-12``; it must hold an epoch.
        array_parallelism: tasks that run at a time; ``None`` leaves it to Slurm.
        retries: further attempts at a run that failed; none where it was refused. An attempt that
            ended from outside after a further checkpoint is no failure.
        poll: seconds between two looks.

    Raises:
        ValueError: a number is out of range, Slurm refuses the jobs or is silent for long, or
            another launcher submits the runs of this folder.
        KeyboardInterrupt: the sweep was stopped, and its jobs cancelled; a second Ctrl-C does not
            wait for their end.
    """
    numbers = (
        ("gpus_per_run", gpus_per_run, 0),
        ("cpus_per_run", cpus_per_run, 1),
        ("retries", retries, 0),
    )
    for name, value, least in (
        *numbers,
        ("array_parallelism", array_parallelism, 1),
        ("poll", poll, 0.1),
    ):
        if value is not None and value < least:
            raise InputError(f"{name} must be at least {least}; got {value}")
    if not runs:
        return
    resources = Resources(partition, gpus_per_run, cpus_per_run, memory, time, array_parallelism)
    launcher = Launcher(runs, train, progress, resources, retries, poll)
    with StopSignals() as signals, _only_launcher(launcher.folder):
        launcher.work(signals)


def _only_launcher(folder: Path) -> AbstractContextManager[object]:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return FileLock(folder / "launcher.lock", timeout=0).acquire()
    except Timeout:
        raise InputError(
            f"another sweep submits the runs of {folder.parent}: stop it, or wait for its end"
        ) from None
