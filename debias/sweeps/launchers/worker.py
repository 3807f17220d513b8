"""One run in a process of its own: it holds the run's lock, writes its log, and says by its exit
code how it ended.
"""

import os
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from filelock import Timeout

from debias.config import Config
from debias.errors import InputError
from debias.files import write_atomically
from debias.sweeps.files import Files, files_of
from debias.sweeps.plan import PlannedRun
from debias.sweeps.progress import Progress

#: Exit codes: tried and failed; refused for a mistake that another attempt would repeat; run by
#: another process.
FAILED, REFUSED, BUSY = 1, 2, 75


class Pruned(Exception):
    """Ends a run that is behind the others; says after which epoch."""


class Train(Protocol):
    """What trains one run, from its start or last checkpoint: ``commands.train.train``."""

    def __call__(self, config: Config, *, resume: Path | None = None) -> Path:
        """Train, evaluate and report."""


class Failures:
    """Counts the failed attempts at each run, and decides whether there is another.

    Args:
        progress: shows each.
        retries: further attempts at a run; none where it was refused.
    """

    def __init__(self, progress: Progress, retries: int) -> None:
        self.progress, self.retries = progress, retries
        self.counts: Counter[str] = Counter()

    def note(self, run: PlannedRun, code: int, end: str, *, printed: object) -> bool:
        """Record a failed attempt; whether there is another.

        Args:
            run: that failed.
            code: exit code of its process.
            end: how the process ended, for a run that left no reason itself.
            printed: where its output is.
        """
        files = files_of(run)
        if not files.error.is_file():
            with suppress(OSError):  # on a full disk; the others go on
                write_atomically(files.error, f"{end}; what it printed is in {printed}\n")
        self.counts[run.name] += 1
        again = code != REFUSED and self.counts[run.name] <= self.retries
        self.progress.failed(run, files.reason() or end, again=again)
        return again


def attempt(run: PlannedRun, train: Train, threads: int, slot: int) -> None:
    """Train one run unless it is done or another process trains it, then end the process.

    Args:
        run: what to train.
        train: trains it.
        threads: that PyTorch computes with.
        slot: number of the worker, which says on which of several GPUs it computes.
    """
    # Ctrl-C is for the launcher, which then ends this process; a checkpoint is left after every
    # epoch
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    files = files_of(run)
    _write_output_to(files.log)
    try:
        with files.lock():
            if not (files.report.is_file() or files.pruned.is_file()):
                files.error.unlink(missing_ok=True)
                print(f"process {os.getpid()}", flush=True)
                _compute_with(threads, slot)
                _train(run, train, files)
    except Timeout:
        sys.exit(BUSY)


def _train(run: PlannedRun, train: Train, files: Files) -> None:
    try:
        train(run.config, resume=run.folder if (run.folder / "config.yaml").is_file() else None)
    except Pruned as end:
        print(end)
        write_atomically(files.pruned, f"{end}\n")
    except Exception as error:
        reason, text = one_line(error), traceback.format_exc()
        code = REFUSED if isinstance(error, InputError) else FAILED
    else:
        return
    # the error is gone, and with it the files that its frames held open on a disk that may be full
    print(text, file=sys.stderr)
    write_atomically(files.error, f"{reason}\n\n{text}")
    sys.exit(code)


def one_line(error: BaseException) -> str:
    """The kind of an error and the first line of its message."""
    return f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]


def _compute_with(threads: int, slot: int) -> None:
    import torch

    torch.set_num_threads(threads)
    os.environ.update(device(slot, torch.cuda.device_count, os.environ))


def device(slot: int, count: Callable[[], int], environment: Mapping[str, str]) -> dict[str, str]:
    """Which GPU a worker sees, where there are several: they take turns.

    Args:
        slot: number of the worker.
        count: how many GPUs this process sees.
        environment: may name them, in ``CUDA_VISIBLE_DEVICES``.

    Returns:
        What to put into the environment.

    Example:
        >>> device(3, lambda: 2, {"CUDA_VISIBLE_DEVICES": "4,6"}), device(3, lambda: 1, {})
        ({'CUDA_VISIBLE_DEVICES': '6'}, {})
    """
    there = count()
    if there < 2:
        return {}
    names = environment.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(there)))).split(",")
    return {"CUDA_VISIBLE_DEVICES": names[slot % there]}


def _write_output_to(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(target, stream.fileno())
    os.close(target)
