"""Call Slurm's commands and parse their output. Accounting is not needed."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from debias.errors import InputError

#: Largest job array: Slurm's default of ``MaxArraySize``.
LONGEST_ARRAY = 1000
#: Time limit of one Slurm command, in seconds.
TIMEOUT = 60
#: States of a task that Slurm will not continue.
ENDED = frozenset(
    ("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY")
) | {"PREEMPTED", "REVOKED", "TIMEOUT", "VANISHED"}
_FIELDS = ("Name", "ArrayTaskID", "ArrayJobID", "State", "exit_code", "Reason")


class SlurmError(RuntimeError):
    """Raised when a Slurm command fails or does not answer in time."""


class Key(NamedTuple):
    """Identifies a task in Slurm: the unique name of its job array, and its index in the array."""

    array: str
    element: int


class Task(NamedTuple):
    """The state of one task of a job array, as ``squeue`` reports it.

    Args:
        number: job number as ``scancel`` and ``scontrol`` accept it, such as ``12_3``.
        state: Slurm's name of the state, such as ``RUNNING``.
        code: exit code of the process; 0 if a signal ended it.
        reason: why the task waits, or why it ended.
    """

    number: str
    state: str
    code: int = 0
    reason: str = "None"

    @property
    def ended(self) -> bool:
        """Whether the task has ended and Slurm will not start it again by itself."""
        return self.state in ENDED

    @property
    def stuck(self) -> bool:
        """Whether Slurm holds the task forever, because a node failed to start it."""
        return self.reason.replace("_", " ").lower().startswith("launch failed")

    @property
    def end(self) -> str:
        """A message on how the task ended."""
        reason = "" if self.reason in ("None", "") else f" ({self.reason})"
        return f"Slurm's job {self.number} ended: {self.state}{reason}"


#: Stands for a task that Slurm no longer lists.
VANISHED = Task("?", "VANISHED", reason="Slurm no longer lists it")


@dataclass(frozen=True, kw_only=True)
class Resources:
    """The resources that each run requests from Slurm; ``None`` uses Slurm's default.

    Args:
        partition: partition for the jobs.
        gpus_per_run: number of GPUs of each run.
        cpus_per_run: number of CPUs of each run, and of the threads that it computes with.
        memory: memory of each run in the form of ``sbatch --mem``, such as ``16G``.
        time: time limit of each attempt in the form of ``sbatch --time``: minutes, ``4:00:00`` or
            ``1-12``. It must be enough for the start and one epoch.
        array_parallelism: number of tasks of an array that run at a time.
    """

    partition: str | None = None
    gpus_per_run: int = 0
    cpus_per_run: int = 1
    memory: str | None = None
    time: str | None = None
    array_parallelism: int | None = None

    def sbatch(self, listing: Path, tasks: int) -> list[str]:
        """Build the ``sbatch`` command that submits a job array.

        Args:
            listing: file with the runs, see ``slurm_task``. The array has the name of this file.
            tasks: number of tasks. Each trains one run of the listing.
        """
        gpus = f"gpu:{self.gpus_per_run}" if self.gpus_per_run else None
        options = {"partition": self.partition, "gres": gpus, "mem": self.memory, "time": self.time}
        parallel = f"%{self.array_parallelism}" if self.array_parallelism else ""
        # "%" begins a pattern in the name of a file
        output = f"{str(listing.parent).replace('%', '%%')}/{listing.stem}_%a.txt"
        task = f"{shlex.quote(sys.executable)} -m debias.sweeps.launchers.slurm_task"
        return [
            *("sbatch", "--parsable", "--requeue", f"--job-name={listing.stem}"),
            f"--array=0-{tasks - 1}{parallel}",
            *("--nodes=1", "--ntasks=1", f"--cpus-per-task={self.cpus_per_run}"),
            *(f"--{option}={value}" for option, value in options.items() if value is not None),
            *("--open-mode=append", f"--output={output}"),
            # exec replaces the batch script, so that its signals reach the training
            f"--wrap=exec {task} {shlex.quote(str(listing))}",
        ]


def squeue(arrays: Collection[str]) -> list[str]:
    """Build the ``squeue`` command that lists all tasks of job arrays, also recently ended ones."""
    columns = ",".join(f"{field}:120|" for field in _FIELDS)
    chosen = (f"--name={','.join(arrays)}", f"--Format={columns}")
    return ["squeue", "--noheader", "--array", "--states=all", *chosen]


def tasks(text: str) -> dict[Key, Task]:
    """Parse the output of the command of :func:`squeue`.

    Example:
        >>> by_key = tasks("debias-1f  |3   |12   |FAILED   |2:0  |NonZeroExitCode   |")
        >>> by_key[Key("debias-1f", 3)]
        Task(number='12_3', state='FAILED', code=2, reason='NonZeroExitCode')
    """
    by_key = {}
    for line in text.splitlines():
        parts = [part.strip() for part in line.split("|")]
        array, element, job, state, code, reason = parts[: len(_FIELDS)]
        number, status = f"{job}_{element}", int(code.partition(":")[0])
        by_key[Key(array, int(element))] = Task(number, state, status, reason)
    return by_key


def queue(arrays: Collection[str]) -> dict[Key, Task]:
    """Ask Slurm for all tasks of the named job arrays.

    Raises:
        SlurmError: ``squeue`` failed or did not answer.
        ValueError: ``squeue`` is not installed.
    """
    return tasks(call(squeue(arrays))) if arrays else {}


def cancel(numbers: Collection[str]) -> None:
    """Cancel whole job arrays, such as ``12``, or single tasks, such as ``12_3``.

    Raises:
        SlurmError: ``scancel`` failed or did not answer.
        ValueError: ``scancel`` is not installed.
    """
    if numbers:
        call(["scancel", "--quiet", *sorted(numbers)])


def check_installed(name: str) -> None:
    """Raise an ``InputError`` if a command of Slurm is not installed."""
    if shutil.which(name) is None:
        remedy = "Start it on a machine that submits jobs, or use launcher=local"
        raise InputError(f"launcher=slurm needs {name}, which is missing. {remedy}")


def call(command: Sequence[str]) -> str:
    """Run a Slurm command, and return its output.

    Raises:
        SlurmError: the command failed, or took more than ``TIMEOUT`` seconds.
        ValueError: the command is not installed.
    """
    check_installed(command[0])
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired as error:
        raise SlurmError(f"{command[0]} did not answer within {TIMEOUT} seconds") from error
    if result.returncode:
        reason = result.stderr.strip() or f"exit code {result.returncode}"
        raise SlurmError(f"{command[0]}: {reason}")
    return result.stdout
