"""Handle Ctrl-C and SIGTERM at safe points in the loop of a launcher."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import Any

#: Longest time in seconds between a signal and the reaction of a sleeping launcher.
PATIENCE = 0.5


class StopSignals:
    """A context that records SIGINT and SIGTERM. The exception is raised later, by ``check``.

    Python itself raises ``KeyboardInterrupt`` at an arbitrary place in the main thread. In a
    destructor or a callback of the garbage collector, Python only prints it, and the signal is
    lost. Here, the loop of the launcher raises it by calling ``check`` or ``sleep``. A second
    signal before that call raises at once, in case the loop hangs.

    Outside the main thread, where Python allows no handlers, the context does nothing. A signal
    that this process ignores, as a shell's background job does, is still ignored. At the end, the
    context restores the earlier handlers.

    Raises:
        KeyboardInterrupt: at the end of the context, if a signal was recorded and not checked.

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
        self.pending = False
        self.previous: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        """Install the handlers of SIGINT and SIGTERM."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self.previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Restore the earlier handlers, and raise for a recorded signal."""
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        if kind is None:
            self.check()

    def check(self) -> None:
        """Raise if a signal was recorded since the last check.

        Raises:
            KeyboardInterrupt: a signal was recorded.
        """
        if self.pending:
            self.pending = False
            raise KeyboardInterrupt

    def sleep(self, seconds: float) -> None:
        """Sleep, and check for signals every ``PATIENCE`` seconds.

        Raises:
            KeyboardInterrupt: a signal was recorded.
        """
        end = time.monotonic() + seconds
        self.check()
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, PATIENCE))
            self.check()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.pending:
            raise KeyboardInterrupt
        self.pending = True
