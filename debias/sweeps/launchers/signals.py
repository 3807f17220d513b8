"""Ctrl-C and SIGTERM: noted when they come, acted on where a launcher looks."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import Any

#: Seconds that a signal may wait until a launcher that sleeps acts on it.
PATIENCE = 0.5


class StopSignals:
    """A context that notes SIGINT and SIGTERM, and raises no exception for them.

    Python raises ``KeyboardInterrupt`` in whatever the main thread does. In a destructor or in a
    callback of the garbage collector it then prints the exception and goes on, and the signal is
    lost. Here the loop that the signal is meant for raises it. A second signal that comes before
    the loop looked raises at once, for a loop that hangs.

    Outside the main thread, where Python allows no handlers, the context does nothing. A signal
    that this process ignores, as in a job in the background of a shell, stays ignored. The end of
    the context restores the handlers.

    Raises:
        KeyboardInterrupt: at the end of the context, for a signal that nobody acted on.

    Example:
        >>> with StopSignals() as signals:
        ...     signal.raise_signal(signal.SIGTERM)
        ...     try:
        ...         signals.check()
        ...     except KeyboardInterrupt:
        ...         print("stopped")
        stopped
    """

    def __init__(self) -> None:
        self.noted = False
        self.previous: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        """Set the handlers."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self.previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Restore the handlers."""
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        if kind is None:
            self.check()

    def check(self) -> None:
        """Act on a signal that was noted since the last check.

        Raises:
            KeyboardInterrupt: there is one.
        """
        if self.noted:
            self.noted = False
            raise KeyboardInterrupt

    def sleep(self, seconds: float) -> None:
        """Wait, unless a signal comes.

        Raises:
            KeyboardInterrupt: a signal came, at most ``PATIENCE`` seconds ago.
        """
        end = time.monotonic() + seconds
        self.check()
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, PATIENCE))
            self.check()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.noted:
            raise KeyboardInterrupt
        self.noted = True
