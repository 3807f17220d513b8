"""Train one run in a process of its own, which holds the run's lock and writes its log.

The exit code is 0 if the run is finished, ``FAILED`` after an error, ``REFUSED`` after an error of
the user, ``BUSY`` if another process trains the run, and ``LATER`` if the time of a piece is over.
"""

import os
import signal
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing import parent_process
from pathlib import Path
from typing import Protocol

from filelock import Timeout

from debias.config import Config
from debias.errors import InputError
from debias.files import write_atomically
from debias.launched import forget_launcher
from debias.places import run_held
from debias.storage.leases import HeldError
from debias.storage.urls import StorageError
from debias.sweeps.files import Files, files_of
from debias.sweeps.launchers.pieces import OutOfTime
from debias.sweeps.plan import PlannedRun
from debias.sweeps.progress import Progress

#: Exit codes: the attempt failed; it ended with an ``InputError``, which another attempt would
#: repeat; another process trains the run; the run has no time left, and is to be resumed.
FAILED, REFUSED, BUSY, LATER = 1, 2, 75, 76


class Pruned(Exception):
    """Raised to end a run early because it is behind the others. The message names the epoch."""


class Train(Protocol):
    """The function that trains one run, such as ``debias.commands.train.train``."""

    def __call__(self, config: Config, *, resume: Path | None = None) -> Path:
        """Train, evaluate and report one run, and return its folder.

        ``resume`` is the run's folder if training continues from a checkpoint.
        """


class Failures:
    """Counts the failed attempts at each run, and decides whether to try again.

    Args:
        progress: shows each failure.
        retries: further attempts at a run that failed. After an ``InputError`` there are none.
    """

    def __init__(self, progress: Progress, retries: int) -> None:
        self.progress, self.retries = progress, retries
        self.counts: Counter[str] = Counter()

    def note(self, run: PlannedRun, code: int, end: str, *, printed: object) -> bool:
        """Record a failed attempt, and return whether the run is tried again.

        Args:
            run: the run that failed.
            code: exit code of its process.
            end: how the process ended, in case the run wrote no reason itself.
            printed: the file with its output.
        """
        files = files_of(run)
        if not files.error.is_file():
            with suppress(OSError):  # a full disk must not stop the other runs
                write_atomically(files.error, f"{end}; its output is in {printed}\n")
        self.counts[run.name] += 1
        again = code != REFUSED and self.counts[run.name] <= self.retries
        self.progress.failed(run, files.reason() or end, again=again)
        return again


def attempt(run: PlannedRun, train: Train, threads: int, slot: int) -> None:
    """Train one run in this process, unless it is done or pruned.

    The function returns if the run succeeds, is done or is pruned. It exits the process with
    ``FAILED`` or ``REFUSED`` if the run fails, with ``BUSY`` if another process trains it, and with
    ``LATER`` if its time is over. If the launcher is killed, the process ends too, and another
    launcher can resume the run.

    Args:
        run: the run to train.
        train: the function that trains it.
        threads: number of threads of PyTorch.
        slot: number of the worker, which determines its GPU if there are several.
    """
    # Ctrl-C is meant for the launcher, which then ends this process
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_launcher, daemon=True).start()
    forget_launcher()
    files = files_of(run)
    _write_output_to(files.log)
    try:
        with files.lock(), run_held(run.config, beside=(files.log, files.error)):
            if not (files.report.is_file() or files.pruned.is_file()):
                files.error.unlink(missing_ok=True)
                print(f"process {os.getpid()}", flush=True)
                _compute_with(threads, slot)
                _train(run, train, files)
    except (Timeout, HeldError):
        sys.exit(BUSY)


def _end_with_launcher() -> None:
    launcher = parent_process()
    if launcher is not None:
        launcher.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _train(run: PlannedRun, train: Train, files: Files) -> None:
    try:
        train(run.config, resume=run.folder if (run.folder / "config.yaml").is_file() else None)
    except Pruned as end:
        print(end)
        write_atomically(files.pruned, f"{end}\n")
    except OutOfTime as end:
        print(end)
        sys.exit(LATER)
    except HeldError:  # another machine has taken over, and trains the run
        raise
    except Exception as error:
        reason, text = one_line(error), traceback.format_exc()
        transient = isinstance(error, StorageError)
        code = REFUSED if isinstance(error, InputError) and not transient else FAILED
    else:
        return
    # outside the except block, the files that the error's frames held open are closed, which may
    # free a full disk
    print(text, file=sys.stderr)
    write_atomically(files.error, f"{reason}\n\n{text}")
    sys.exit(code)


def one_line(error: BaseException) -> str:
    """The class name of an error and the first line of its message."""
    return f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]


def _compute_with(threads: int, slot: int) -> None:
    import torch

    torch.set_num_threads(threads)
    os.environ.update(device(slot, torch.cuda.device_count, os.environ))


def device(slot: int, count: Callable[[], int], environment: Mapping[str, str]) -> dict[str, str]:
    """Choose the GPU of a worker: with several GPUs, worker ``slot`` gets number ``slot % count``.

    Args:
        slot: number of the worker.
        count: returns the number of GPUs that this process sees.
        environment: environment variables. ``CUDA_VISIBLE_DEVICES`` may name the GPUs.

    Returns:
        The environment variables to set; empty with fewer than two GPUs.

    Example:
        >>> device(3, lambda: 2, {"CUDA_VISIBLE_DEVICES": "4,6"}), device(3, lambda: 1, {})
        ({'CUDA_VISIBLE_DEVICES': '6'}, {})
    """
    gpus = count()
    if gpus < 2:
        return {}
    names = environment.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus)))).split(",")
    return {"CUDA_VISIBLE_DEVICES": names[slot % gpus]}


def _write_output_to(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(target, stream.fileno())
    os.close(target)
