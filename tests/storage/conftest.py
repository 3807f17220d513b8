"""Object storage for tests: fsspec's own in memory, and a server of S3 where moto is installed."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """The cache folder that the environment names."""
    monkeypatch.setenv("DEBIAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of a server of S3."""
    pytest.importorskip("s3fs", reason="needs the extra storage")
    moto = pytest.importorskip("moto.server", reason="needs moto[server]")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    yield "http://{}:{}".format(*running.get_host_and_port())
    running.stop()


@pytest.fixture
def s3(server, monkeypatch) -> Any:
    """The file system of that server, with an empty bucket ``bucket``."""
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    for name, value in ({"AWS_ENDPOINT_URL": server} | keys).items():
        monkeypatch.setenv(name, value)
    files = fsspec.filesystem("s3", skip_instance_cache=True)
    type(files).clear_instance_cache()
    if files.exists("bucket"):
        files.rm("bucket", recursive=True)
    files.mkdir("bucket")
    return files
