"""What every test may use."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import pytest

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Local test material that is not part of the project; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("needs the local test material")
    return SHARED
