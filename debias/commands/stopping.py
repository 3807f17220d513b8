"""Ends a stopped command at once, with one line and the exit code of the signal."""

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
    """End this process at once on SIGINT or SIGTERM, with one line and exit code 130 or 143.

    Nothing is cleaned up. Files are written atomically, so that a run may end at any moment. The
    handler raises no exception: Python ignores exceptions in a destructor, and Lightning would
    handle it in its own way.

    Args:
        advice: what the user can do next, for the printed line. If it is empty, no line is printed.
    """
    own = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        """Print the line, kill the loader processes, and end this process."""
        if os.getpid() == own:  # loader processes inherit the handler
            if advice:
                # the cursor may be at the end of a progress bar
                bar = "\n" if sys.stderr.isatty() else ""
                line = f"{bar}debias: stopped by {signal.Signals(number).name}; {advice}\n"
                os.write(2, line.encode())
            for child in multiprocessing.active_children():
                child.kill()
        os._exit(128 + number)

    # a background job may ignore Ctrl-C
    both = (signal.SIGINT, signal.SIGTERM)
    handled = [number for number in both if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, end) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with_parent() -> None:
    """End this process as soon as its parent process has ended, for whatever reason."""
    parent = os.getppid()

    def watch() -> None:
        """Check once per second whether the parent process still exists."""
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
