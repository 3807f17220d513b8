"""Long work prints a line now and then in a log, and moves a bar on a terminal."""

import io
import sys

import pytest

from debias import progress
from debias.progress import LongWork, each, say


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """The time, which a test moves on."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def lines(capsys, clock, seconds: float, count: int = 100) -> list[str]:
    """What work of this many items prints, each of some seconds."""
    for _ in each(range(count), "decoding pictures", "picture"):
        clock[0] += seconds
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err.splitlines()


def test_a_line_follows_every_tenth_of_long_work(capsys, clock):
    """100 pictures of 6 s: a tenth takes a minute, and 90 pictures of 6 s are 9 minutes."""
    printed = lines(capsys, clock, 6)
    assert printed[0] == "decoding pictures: picture 10 of 100, 9 min left"
    assert printed[8] == "decoding pictures: picture 90 of 100, 1 min left"
    assert printed[9:] == ["decoding pictures: done in 10 min"]


def test_lines_are_thirty_seconds_apart(capsys, clock):
    """100 pictures of 1 s: a tenth takes only 10 s."""
    assert lines(capsys, clock, 1) == [
        "decoding pictures: picture 30 of 100, 1 min left",
        "decoding pictures: picture 60 of 100, 40 s left",
        "decoding pictures: picture 90 of 100, 10 s left",
        "decoding pictures: done in 2 min",
    ]


def test_short_work_prints_nothing(capsys, clock):
    assert lines(capsys, clock, 0.29) == []


def test_work_of_unknown_length_prints_what_is_done(capsys, clock):
    for _ in each((n for n in range(40)), "reading", "file"):
        clock[0] += 1
    assert capsys.readouterr().err.splitlines() == ["reading: 30 file", "reading: done in 40 s"]


def test_work_that_fails_is_not_done(capsys, clock):
    def fails() -> None:
        with LongWork("reading", 2, "file") as work:
            clock[0] += 31
            work.add()
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        fails()
    assert capsys.readouterr().err == "reading: file 1 of 2, 31 s left\n"


def test_a_terminal_has_a_bar_and_no_lines(monkeypatch, clock):
    monkeypatch.setattr(sys, "stderr", Terminal())
    for _ in each(range(100), "reading", "file"):
        clock[0] += 6
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "\r" in shown
    assert "left" not in shown


def test_without_a_bar_a_terminal_has_the_lines_of_a_log(monkeypatch, clock):
    monkeypatch.setattr(sys, "stderr", Terminal())
    for _ in each(range(2), "reading", "file", bar=False):
        clock[0] += 40
    shown = "reading: file 1 of 2, 40 s left\nreading: done in 1 min\n"
    assert sys.stderr.getvalue() == shown  # type: ignore[attr-defined]


def test_only_the_first_process_prints(capsys, clock, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    say("a line")
    assert lines(capsys, clock, 6) == []
