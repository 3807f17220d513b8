"""A server for the tests of this folder."""

import pytest

from tests.downloads.server import running


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr("debias.downloads.http.PAUSE", 0.01)
    monkeypatch.setattr("debias.downloads.http.TIMEOUT", 5.0)


@pytest.fixture
def server(monkeypatch):
    """A server on this machine, which is reached without a proxy."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with running() as made:
        yield made
