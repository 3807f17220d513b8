"""A command whose reader has ended, as in ``debias data list | head -1``."""

import os
import sys

from debias.__main__ import main
from debias.commands.data import list as data_list


def test_a_closed_pipe_is_no_mistake(monkeypatch, capfd):
    def run(source, overrides):
        raise BrokenPipeError

    monkeypatch.setattr(data_list, "run", run)
    monkeypatch.setattr("os.dup2", lambda *_: None)
    assert main(["data", "list"]) == 0
    assert capfd.readouterr() == ("", "")


def test_output_that_waits_until_the_end_is_no_mistake(monkeypatch):
    """It is less than the buffer, so that the pipe is not written to before; closing would fail."""
    monkeypatch.setattr(data_list, "run", lambda source, overrides: print("one line"))
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert main(["data", "list"]) == 0
