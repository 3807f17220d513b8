"""Every tutorial runs from top to bottom, and prints what its page says."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forked import Command
from tests.sweeps.launchers import fake_slurm

TUTORIALS = sorted((Path(__file__).parents[2] / "docs" / "tutorials").glob("*.md"))
NUMBER = re.compile(r"\d+(?:\.\d+)?")
TOLERANCE = 10  # a printed percentage may differ on another machine or release of torch


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and text of each block of code, in order."""
    return re.findall(
        r"^```(\w+)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def python(code: str, names: dict[str, object]) -> str:
    """Run a block in the names of the blocks before it; return what it prints.

    A block whose first line names a file is written there instead.
    """
    if re.match(r"# \w+\.py\n", code):
        return write(code)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "tutorial", "exec"), names)
    return printed.getvalue()


def shell(code: str, start: Callable[..., Command]) -> str:
    """Run a block; ``debias`` alone in a process that has imported everything already."""
    if code.startswith("debias ") and code.count("\n") == 1:
        status, printed, errors = start(*shlex.split(code)[1:]).ended()
        assert status == 0, printed + errors
        return printed
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write(text: str) -> str:
    """Write the file that the first line of a block names."""
    Path(text.splitlines()[0].removeprefix("# ")).write_text(text, encoding="utf-8")
    return ""


def check(printed: str, page: str) -> None:
    """The same words, and numbers that are near."""
    assert NUMBER.sub("#", printed) == NUMBER.sub("#", page)
    for here, there in zip(NUMBER.findall(printed), NUMBER.findall(page), strict=True):
        assert abs(float(here) - float(there)) <= TOLERANCE


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder with the command ``debias`` and a Slurm of files."""
    command = tmp_path / "bin" / "debias"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m debias "$@"\n')
    command.chmod(0o755)
    fake_slurm.install(command.parent)
    monkeypatch.setenv("PATH", str(command.parent), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning:torch", "ignore:.*LeafSpec.*")
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_runs(page, place, start):
    names: dict[str, object] = {}
    printed = ""
    for language, text in blocks(page):
        if language == "text":
            check(printed, text)
        elif language != "console":  # which only shows what to type
            run = {
                "python": lambda code: python(code, names),
                "bash": lambda code: shell(code, start),
                "yaml": write,
            }
            printed = run[language](text)


def test_the_tutorials_are_found():
    assert len(TUTORIALS) >= 8
