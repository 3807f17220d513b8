"""One file over HTTP: every fault of a connection is resumed, or one clear clause."""

import errno
import json
import os
import time

import pytest

from debias.downloads import http
from debias.downloads.faults import SourceError, UnreachableError
from debias.downloads.http import download
from tests.downloads.server import Served

CONTENT = os.urandom(300_000)
HALF = len(CONTENT) // 2


def room(missing):
    """The disk has room for everything."""


@pytest.fixture
def part(tmp_path):
    return tmp_path / "set.zip.part"


def get(url, part, *, unmarked=False):
    download(url, part, check_room=room, unmarked=unmarked)
    assert part.read_bytes() == CONTENT
    assert [path.name for path in part.parent.iterdir()] == [part.name]  # no note is left


def test_a_whole_file(server, part):
    served = Served(CONTENT)
    get(server.serve("set.zip", served), part)
    assert served.seen == [""]


def test_a_connection_that_drops_is_continued_where_it_stopped(server, part):
    served = Served(CONTENT, stop_after=[HALF, 1000])
    get(server.serve("set.zip", served), part)
    assert served.seen == ["", f"bytes={HALF}-", f"bytes={HALF + 1000}-"]


def test_a_later_call_continues_too(server, part):
    served = Served(CONTENT, stop_after=[HALF, 0, 0, 0])
    url = server.serve("set.zip", served)
    with pytest.raises(SourceError, match=r"^the connection closed early$"):
        download(url, part, check_room=room)
    assert part.stat().st_size == HALF
    get(url, part)
    assert served.seen[-1] == f"bytes={HALF}-"


@pytest.mark.parametrize("change", ["no ranges", "no mark", "other file", "other address"])
def test_it_begins_again_if_the_rest_may_not_fit(server, part, change):
    part.write_bytes(b"x" * HALF)
    served = Served(CONTENT, ranges=change != "no ranges", tag="" if change == "no mark" else '"2"')
    url = server.serve("set.zip", served)
    begun = url if change != "other address" else f"{server.url}/old.zip"
    mark = '"1"' if change == "other file" else '"2"'
    part.with_name("set.zip.part.json").write_text(json.dumps([begun, mark]))
    get(url, part)


def test_bytes_of_another_mirror_are_continued_if_a_digest_will_be_checked(server, part):
    part.write_bytes(CONTENT[:HALF])
    served = Served(CONTENT)
    get(server.serve("mirror.zip", served), part, unmarked=True)
    assert served.seen == [f"bytes={HALF}-"]


def test_a_part_that_is_the_whole_file_is_kept(server, part):
    part.write_bytes(CONTENT)
    served = Served(CONTENT)
    get(server.serve("set.zip", served), part, unmarked=True)
    assert served.seen == [f"bytes={len(CONTENT)}-"]


def test_a_part_longer_than_the_file_is_thrown_away(server, part):
    part.write_bytes(CONTENT + b"more")
    served = Served(CONTENT)
    get(server.serve("set.zip", served), part, unmarked=True)
    assert served.seen == [f"bytes={len(CONTENT) + 4}-", ""]


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><p>quota", b"\n <HTML lang=en>log in"])
def test_a_page_is_no_file(server, part, page):
    with pytest.raises(SourceError, match="answered with a page"):
        download(server.serve("set.zip", Served(page)), part, check_room=room)
    assert not list(part.parent.iterdir())


def test_a_page_costs_no_bytes_of_an_earlier_call(server, part):
    served = Served(CONTENT, stop_after=[HALF, 0, 0, 0])
    url = server.serve("set.zip", served)
    with pytest.raises(SourceError):
        download(url, part, check_room=room)
    server.serve("set.zip", Served(b"<html>log in to this network", tag='"page"'))
    with pytest.raises(SourceError, match="answered with a page"):
        download(url, part, check_room=room)
    server.serve("set.zip", served)
    get(url, part)
    assert served.seen[-1] == f"bytes={HALF}-"


def test_codes_of_the_server(server, part):
    served = Served(status=404)
    with pytest.raises(SourceError, match=r"^HTTP 404 Not Found$"):
        download(server.serve("set.zip", served), part, check_room=room)
    assert len(served.seen) == 1
    busy = Served(status=503)
    with pytest.raises(SourceError, match=r"^HTTP 503"):
        download(server.serve("set.zip", busy), part, check_room=room)
    assert len(busy.seen) == http.TRIES


def test_redirects(server, part):
    server.serve("set.zip", Served(CONTENT))
    get(server.serve("old", Served(status=302, target="/set.zip")), part)
    part.unlink()
    loop = server.serve("loop", Served(status=302, target="/loop"))
    with pytest.raises(SourceError, match=r"^the host redirects in a loop$"):
        download(loop, part, check_room=room)
    assert not part.exists()


def test_a_host_that_sends_nothing(server, part, monkeypatch):
    monkeypatch.setattr(http, "TIMEOUT", 0.05)
    slow = Served(CONTENT, wait=lambda: time.sleep(0.3))
    with pytest.raises(SourceError, match=r"^the host sends nothing$"):
        download(server.serve("set.zip", slow), part, check_room=room)
    assert len(slow.seen) == http.TRIES


@pytest.mark.parametrize("url", ["http://no-such-host.invalid/a.zip", "http://127.0.0.1:9/a.zip"])
def test_no_network(server, part, url):
    with pytest.raises(UnreachableError):
        download(url, part, check_room=room)


def test_a_disk_that_is_full_is_no_fault_of_the_source(server, part):
    def full(missing):
        assert missing == len(CONTENT)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        download(server.serve("set.zip", Served(CONTENT)), part, check_room=full)
