"""A command that is stopped ends at once: with one line, the exit code of the signal, and a run
that can go on.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from debias.__main__ import main
from debias.commands import compare, evaluate, sweep, train
from tests.commands.conftest import overrides
from tests.forked import Command


def gone(group: int) -> bool:
    """Whether no process of a group is left, within two seconds: the system may take a moment."""
    for _ in range(200):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_training_says_how_to_resume(
    number: signal.Signals, code: int, start: Callable[..., Command], tmp_path: Path
) -> None:
    """Also with loader processes, which end too; the printed command trains the run to its end.

    It is the same one for both signals, and runs once.
    """
    arguments = overrides(tmp_path, "workers=1", "epochs=12", f"cache_dir={tmp_path}/a cache")
    process = start("train", "drawn_birds", *arguments)
    checkpoint = "runs/*/checkpoints/last.ckpt"  # other folders get their names meanwhile
    while not list(tmp_path.glob(checkpoint)) and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, number)
    ended, printed, errors = process.ended()
    assert (ended, printed) == (code, "")
    *_, line = errors.splitlines()
    assert line.startswith(
        f"debias: stopped by {number.name}; resume with `debias train drawn_birds "
    )
    assert "Traceback" not in errors
    assert gone(process.pid)
    command = shlex.split(line.partition("`")[2].rstrip("`"))
    assert command == ["debias", "train", "drawn_birds", *arguments, "resume=auto"]
    if number == signal.SIGTERM:
        ended, printed, errors = start(*command[1:]).ended()
        assert ended == 0, errors
        assert Path(printed.splitlines()[-1]).is_file()


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        (evaluate, ["evaluate", "runs/a"]),
        (compare, ["compare", "runs"]),
        (sweep, ["sweep", "run", "a.yaml"]),
        (train, ["train", "drawn_birds"]),
    ],
)
def test_ctrl_c_is_one_line(module, arguments, monkeypatch, capsys) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "run", interrupted)
    assert main(arguments) == 130
    assert capsys.readouterr() == (
        "",
        "debias: stopped by Ctrl-C; run the same command again to continue\n",
    )


def test_handlers_are_put_back(tmp_path, monkeypatch) -> None:
    """And a Ctrl-C that is ignored, as in a shell's background job, stays ignored."""
    monkeypatch.chdir(tmp_path)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    term = signal.getsignal(signal.SIGTERM)
    try:
        assert main(["train", "drawn_birds", "epochs=0"]) == 2
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == (
            signal.SIG_IGN,
            term,
        )
    finally:
        signal.signal(signal.SIGINT, before)


HELPER = """
import os, sys, time
from debias.commands.stopping import end_with_parent
if os.fork() == 0:
    end_with_parent()
    print(os.getpid(), flush=True)
    time.sleep(60)
time.sleep(60)
"""


def test_a_helper_process_ends_with_the_one_that_started_it() -> None:
    """However that ends: the processes of a run's other devices would wait for it for ever."""
    with subprocess.Popen(
        [sys.executable, "-c", HELPER], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        int(parent.stdout.readline())
        parent.kill()
        # the pipe is closed once both have ended
        assert parent.stdout.read() == ""
