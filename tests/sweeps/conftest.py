"""Sweep files that several tests start from."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from tests.sweeps.launchers import fake_slurm


@pytest.fixture
def sweep(tmp_path) -> Callable[..., Path]:
    """Writes a sweep file into a folder of its own; its runs go beside it."""

    def write(text: str) -> Path:
        path = tmp_path / "sweep.yaml"
        path.write_text(f"out: {tmp_path / 'runs'}\n{dedent(text)}")
        return path

    return write


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> Path:
    """Folder of a Slurm of files, whose commands are those that are found."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    fake_slurm.install(folder)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder
