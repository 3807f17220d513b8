"""How a command ends when it is stopped: at once, with one line and the exit code of the signal."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ended_by_signals(advice: str) -> Iterator[None]:
    """End this process at once on SIGINT or SIGTERM: by one line, and with 130 or 143.

    Nothing is cleaned up. Files are written whole or not at all, so that a run may end at any
    moment. An exception would be lost where Python ignores exceptions, as in a destructor, and
    Lightning would answer it in its own way.

    Args:
        advice: what to do then, for the line; no line is printed if it is empty.
    """
    own = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        """Print the line, end the loader processes, end this one."""
        if os.getpid() == own:  # loader processes inherit the handler
            if advice:
                # the cursor may stand behind a progress bar
                bar = "\n" if sys.stderr.isatty() else ""
                line = f"{bar}debias: stopped by {signal.Signals(number).name}; {advice}\n"
                os.write(2, line.encode())
            for child in multiprocessing.active_children():
                child.kill()
        os._exit(128 + number)

    # a background job may ignore Ctrl-C
    both = (signal.SIGINT, signal.SIGTERM)
    heard = [number for number in both if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, end) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with_parent() -> None:
    """End this process when the one that started it has ended, in whatever way."""
    parent = os.getppid()

    def watch() -> None:
        """Look once a second."""
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
