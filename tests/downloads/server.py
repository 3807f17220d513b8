"""A small HTTP server in a thread of the test, which misbehaves as it is told."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Served:
    """One path of the server, and the requests that it got.

    Attributes:
        content: the bytes of the file.
        tag: its ETag; empty for none.
        ranges: whether ranges are answered with a part.
        stop_after: bytes after which each of the first connections breaks, one by one.
        status: answer with this code and no file.
        target: where a redirection leads.
        wait: called before the first byte.
        seen: the ``Range`` header of each request; "" without.
    """

    content: bytes = b""
    tag: str = '"one"'
    ranges: bool = True
    stop_after: list[int] = field(default_factory=list)
    status: int = 0
    target: str = ""
    wait: Callable[[], Any] = lambda: None
    seen: list[str] = field(default_factory=list)


@dataclass
class Server:
    """The address of the server, and what it serves by path."""

    url: str
    files: dict[str, Served] = field(default_factory=dict)

    def serve(self, path: str, served: Served) -> str:
        self.files[f"/{path}"] = served
        return f"{self.url}/{path}"


class _Handler(BaseHTTPRequestHandler):
    files: dict[str, Served]

    def do_GET(self) -> None:
        served = self.files.get(self.path, Served(status=404))
        span = self.headers.get("Range", "")
        served.seen.append(span)
        served.wait()
        if served.status:
            self.send_response(served.status)
            self.send_header("Location", served.target)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        same = self.headers.get("If-Range", served.tag) == served.tag
        start = int(span[6:-1]) if span and same and served.ranges else 0
        total = len(served.content)
        if start >= total > 0:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._send(served, start, total)

    def _send(self, served: Served, start: int, total: int) -> None:
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if served.tag:
            self.send_header("ETag", served.tag)
        self.send_header("Content-Length", str(total - start))
        self.end_headers()
        stop = served.stop_after.pop(0) if served.stop_after else total
        self.wfile.write(served.content[start : start + stop])
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def running() -> Iterator[Server]:
    """A server on a free port of this machine."""
    handler = type("Handler", (_Handler,), {"files": {}})
    made = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    made.daemon_threads = True
    made.handle_error = lambda *_: None  # a client that hangs up is part of some tests
    thread = threading.Thread(target=lambda: made.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    server = Server(f"http://127.0.0.1:{made.server_address[1]}", handler.files)
    try:
        yield server
    finally:
        made.shutdown()
        made.server_close()
        thread.join()
