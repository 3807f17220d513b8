"""Tests of pages look at their charts."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def unrendered_charts() -> None:
    """Here charts are rendered."""
