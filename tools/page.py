"""Serves the customer's page, a folder of static files, on this machine alone."""

import contextlib
import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from processes import LOOPBACK


class _Quiet(SimpleHTTPRequestHandler):
    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript"}

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")  # who changes the page sees the change
        super().end_headers()

    def log_message(self, *arguments: object) -> None:
        """Log nothing, since the demo's terminal is for the demo."""


@contextlib.contextmanager
def served(folder: Path, port: int) -> Iterator[int]:
    """Serve the folder, and yield the port: the given one, or a free one for 0."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer((LOOPBACK, port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
