"""Signals are noted where they come and acted on where a launcher looks."""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from debias.sweeps.launchers import signals
from debias.sweeps.launchers.signals import StopSignals
from tests.sweeps.launchers.lost_signals import PLACES

STOPS = (signal.SIGINT, signal.SIGTERM)


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in STOPS]


@pytest.mark.parametrize("place", PLACES)
def test_not_lost_where_python_loses_exceptions(place):
    with StopSignals() as noted:
        place()
        with pytest.raises(KeyboardInterrupt):
            noted.check()
        noted.check()


@pytest.mark.parametrize("number", STOPS)
def test_raised_where_the_loop_looks_and_once(number):
    seen = []
    with StopSignals() as noted:
        noted.check()
        signal.raise_signal(number)
        seen.append("goes on")
        with pytest.raises(KeyboardInterrupt):
            noted.check()
        noted.check()
    assert seen == ["goes on"]


def test_a_second_one_does_not_wait_for_the_look():
    """A loop that hangs is left; the first stays noted: the end of the loop waits for nothing."""
    with StopSignals() as noted:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            noted.check()
        signal.raise_signal(signal.SIGINT)  # the first since that look
        with pytest.raises(KeyboardInterrupt):
            noted.check()


def test_raised_at_the_end_if_nobody_looked():
    before = handlers()
    with pytest.raises(KeyboardInterrupt), StopSignals():
        signal.raise_signal(signal.SIGTERM)
    assert handlers() == before


def test_the_error_of_the_loop_is_not_replaced():
    before = handlers()

    def loop() -> None:
        with StopSignals() as noted:
            assert handlers() == [noted._note, noted._note]
            signal.raise_signal(signal.SIGINT)
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        loop()
    assert handlers() == before


def test_sleep_looks_again_and_again(monkeypatch):
    """A signal in the second of the half seconds ends a sleep of ten."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(signals.time, "sleep", sleep)
    with StopSignals() as noted, pytest.raises(KeyboardInterrupt):
        noted.sleep(10.0)
    assert slept == [0.5, 0.5]


def test_sleep_looks_also_when_it_is_short(monkeypatch):
    monkeypatch.setattr(signals.time, "sleep", lambda _: pytest.fail("slept"))
    with StopSignals() as noted:
        noted.sleep(0.0)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            noted.sleep(0.0)


def test_handlers_belong_to_the_main_thread():
    before = handlers()

    def inside() -> list[object]:
        with StopSignals() as noted:
            noted.sleep(0.001)
            return handlers()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(inside).result() == before


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignals() as noted:
            signal.raise_signal(signal.SIGINT)
            noted.check()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
