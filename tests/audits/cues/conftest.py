"""Fixtures of the tests of cues."""

import pytest

from debias.audits.cues import probing, proposals


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Intervals of 100 bootstrap samples: rough, and quick."""
    monkeypatch.setattr(probing, "RESAMPLES", 100)
    monkeypatch.setattr(proposals, "RESAMPLES", 100)
