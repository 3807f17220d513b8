"""What is said to Slurm, and what it answers; with accounting or without."""

import shlex
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from debias.errors import InputError

#: Runs of one array: what ``MaxArraySize`` allows unless an administrator changed it.
LONGEST_ARRAY = 1000
#: Seconds that a command of Slurm may take.
TIMEOUT = 60
#: States of a task that does not go on.
ENDED = frozenset(
    ("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY")
) | {"PREEMPTED", "REVOKED", "TIMEOUT", "VANISHED"}
_FIELDS = ("Name", "ArrayTaskID", "ArrayJobID", "State", "exit_code", "Reason")


class SlurmError(RuntimeError):
    """Slurm refused a command, or did not answer."""


class Key(NamedTuple):
    """A run's place in Slurm: the unique name of a job array, and an element of it."""

    array: str
    element: int


class Task(NamedTuple):
    """What Slurm says of one element of an array.

    Args:
        number: as ``scancel`` and ``scontrol`` take it, such as ``12_3``.
        state: Slurm's word, such as ``RUNNING``.
        code: exit code of the process; 0 if a signal ended it.
        reason: why it waits, or why it ended.
    """

    number: str
    state: str
    code: int = 0
    reason: str = "None"

    @property
    def ended(self) -> bool:
        """Whether Slurm will not run it, or run it again, of its own accord."""
        return self.state in ENDED

    @property
    def stuck(self) -> bool:
        """Whether Slurm holds it for ever, because no node could start it."""
        return self.reason.replace("_", " ").lower().startswith("launch failed")

    @property
    def end(self) -> str:
        """How it ended, to read."""
        reason = "" if self.reason in ("None", "") else f" ({self.reason})"
        return f"Slurm's job {self.number} ended: {self.state}{reason}"


#: What is true of a task of which Slurm knows nothing any more.
VANISHED = Task("?", "VANISHED", reason="Slurm does not know it any more")


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What each run asks for; ``None`` leaves it to Slurm.

    Args:
        partition: where it is submitted to.
        gpus_per_run: GPUs that each run asks for.
        cpus_per_run: processors that each run asks for, and threads that it computes with.
        memory: of each run, as ``sbatch --mem`` takes it: ``16G``.
        time: limit of each attempt, as ``sbatch --time`` takes it: minutes, ``4:00:00`` or
            ``1-12``; it must hold an epoch.
        array_parallelism: tasks of an array that run at a time.
    """

    partition: str | None = None
    gpus_per_run: int = 0
    cpus_per_run: int = 1
    memory: str | None = None
    time: str | None = None
    array_parallelism: int | None = None

    def sbatch(self, listing: Path, tasks: int) -> list[str]:
        """The command that submits an array: its name is the listing's, and each task trains one
        run of the listing.
        """
        gpus = f"gpu:{self.gpus_per_run}" if self.gpus_per_run else None
        wanted = {"partition": self.partition, "gres": gpus, "mem": self.memory, "time": self.time}
        parallel = f"%{self.array_parallelism}" if self.array_parallelism else ""
        # "%" begins a pattern in the name of a file
        output = f"{str(listing.parent).replace('%', '%%')}/{listing.stem}_%a.txt"
        task = f"{shlex.quote(sys.executable)} -m debias.sweeps.launchers.slurm_task"
        return [
            *("sbatch", "--parsable", "--requeue", f"--job-name={listing.stem}"),
            f"--array=0-{tasks - 1}{parallel}",
            *("--nodes=1", "--ntasks=1", f"--cpus-per-task={self.cpus_per_run}"),
            *(f"--{option}={value}" for option, value in wanted.items() if value is not None),
            *("--open-mode=append", f"--output={output}"),
            # exec, so that a signal to the batch script is one to the training
            f"--wrap=exec {task} {shlex.quote(str(listing))}",
        ]


def squeue(arrays: Collection[str]) -> list[str]:
    """The command that asks for every task of some arrays, also for those just ended."""
    columns = ",".join(f"{field}:120|" for field in _FIELDS)
    chosen = (f"--name={','.join(arrays)}", f"--Format={columns}")
    return ["squeue", "--noheader", "--array", "--states=all", *chosen]


def tasks(text: str) -> dict[Key, Task]:
    """What ``squeue`` printed.

    Example:
        >>> found = tasks("debias-1f  |3   |12   |FAILED   |2:0  |NonZeroExitCode   |")
        >>> found[Key("debias-1f", 3)]
        Task(number='12_3', state='FAILED', code=2, reason='NonZeroExitCode')
    """
    found = {}
    for line in text.splitlines():
        parts = [part.strip() for part in line.split("|")]
        array, element, job, state, code, reason = parts[: len(_FIELDS)]
        number, status = f"{job}_{element}", int(code.partition(":")[0])
        found[Key(array, int(element))] = Task(number, state, status, reason)
    return found


def queue(arrays: Collection[str]) -> dict[Key, Task]:
    """What Slurm knows of the tasks of some arrays.

    Raises:
        SlurmError: it does not answer.
    """
    return tasks(call(squeue(arrays))) if arrays else {}


def cancel(numbers: Collection[str]) -> None:
    """End arrays or single tasks of theirs, such as ``12`` or ``12_3``.

    Raises:
        SlurmError: it does not answer.
    """
    if numbers:
        call(["scancel", "--quiet", *sorted(numbers)])


def call(command: Sequence[str]) -> str:
    """What a command of Slurm prints.

    Raises:
        SlurmError: it failed, or did not come back.
        ValueError: it is not there.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    except FileNotFoundError:
        remedy = "start it where jobs are submitted, or use launcher=local"
        raise InputError(f"launcher=slurm finds no {command[0]}: {remedy}") from None
    except subprocess.TimeoutExpired as error:
        raise SlurmError(f"{command[0]} did not come back within {TIMEOUT} seconds") from error
    if done.returncode:
        raise SlurmError(f"{command[0]}: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout
