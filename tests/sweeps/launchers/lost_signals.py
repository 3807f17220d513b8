"""SIGINT in the places where Python prints an exception and goes on."""

import gc
import signal


class _Dropped:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def in_destructor() -> None:
    """The signal comes while an object is deleted."""
    _Dropped()


def in_collector_callback() -> None:
    """The signal comes in a callback of the garbage collector, such as hypothesis installs."""

    def callback(phase: str, info: dict[str, int]) -> None:
        gc.callbacks.remove(callback)
        signal.raise_signal(signal.SIGINT)

    gc.callbacks.append(callback)
    gc.collect()


PLACES = (in_destructor, in_collector_callback)
