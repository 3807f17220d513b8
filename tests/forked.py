"""Processes that begin in milliseconds: forked from one that has imported what takes seconds.

That one is Python's fork server, from which the local launcher of sweeps takes its workers as well.
Each process of the tests has one, from when it first needs it.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing import forkserver, get_context, set_start_method
from multiprocessing.process import BaseProcess
from pathlib import Path

from debias.__main__ import main
from debias.sweeps.launchers.local import PRELOADED

FORKED = get_context("forkserver")
FORKED.set_forkserver_preload(
    [PRELOADED, "debias.commands.train", "debias.commands.sweep", "tests.fakes", "hypothesis"]
)


def forked(function: Callable[..., object], *arguments: object) -> BaseProcess:
    """A process that calls a function, and takes its own processes from the same fork server."""
    process = FORKED.Process(target=_call, args=(function, arguments))
    process.start()
    return process


def _call(function: Callable[..., object], arguments: Sequence[object]) -> None:
    # Python would start another fork server
    forkserver._forkserver.ensure_running = forkserver.ensure_running = lambda: None
    # loader processes begin as in a process that was not forked: in the group of their command
    set_start_method(None, force=True)
    function(*arguments)


class Command:
    """``debias`` in a process group of its own, as a terminal starts it.

    Args:
        arguments: of ``debias``.
        folder: for what it prints.
        environment: variables besides those of this process.
        network: file of the network namespace that it lives in; default: that of this process.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        network: str = "",
    ) -> None:
        self.files = (folder / "output.txt", folder / "errors.txt")
        facts = {**os.environ, **environment}
        self.process = forked(_run, list(arguments), self.files, facts, network)
        self.pid = self.process.pid

    def poll(self) -> int | None:
        """Its exit code, less than zero for a signal; ``None`` while it runs."""
        return self.process.exitcode

    def ended(self, timeout: float = 280) -> tuple[int | None, str, str]:
        """Wait for its end: its exit code, output and errors."""
        self.process.join(timeout)
        output, errors = (file.read_text() for file in self.files)
        return self.poll(), output, errors

    def kill(self) -> None:
        """End it and its group, if it still runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self.process.join()


def _run(
    arguments: list[str], files: Sequence[Path], environment: Mapping[str, str], network: str
) -> None:
    os.setsid()
    if network:
        enter = ctypes.CDLL(None, use_errno=True).setns  # os.setns is of Python 3.12
        assert enter(os.open(network, os.O_RDONLY), 0) == 0, os.strerror(ctypes.get_errno())
    for stream, file in zip((1, 2), files, strict=True):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), stream)
    os.environ.clear()
    os.environ.update(environment)
    sys.exit(main(arguments))
