"""Sweep files that several tests start from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest


@pytest.fixture
def sweep(tmp_path) -> Callable[..., Path]:
    """Writes a sweep file into a folder of its own; its runs go beside it."""

    def write(text: str) -> Path:
        path = tmp_path / "sweep.yaml"
        path.write_text(f"out: {tmp_path / 'runs'}\n{dedent(text)}")
        return path

    return write
