"""A server that speaks S3, moto's, whose objects outlive its process: ``python -m tests.chaos.s3_process PORT FOLDER BUCKET``.

moto keeps its objects in memory. Here each is written to a folder before it is acknowledged, and a process that starts puts them
there again; without room on the folder's disk, the object is refused as S3's kin do, with 507.
"""

import io
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
from werkzeug.test import Client

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

FULL: Final = (
    b"<?xml version='1.0'?><Error><Code>InsufficientStorage</Code><Message>The disk is full.</Message></Error>"
)


def main() -> None:
    """Serve until the process is ended."""
    _, port, folder, bucket = sys.argv
    application = Durable(DomainDispatcherApplication(create_backend_app), Path(folder), bucket)
    run_simple("127.0.0.1", int(port), application, threaded=True)


class Durable:
    """moto's application, with its objects on a disk."""

    def __init__(self, application: Application, folder: Path, bucket: str) -> None:
        self._application, self._folder = application, folder
        folder.mkdir(parents=True, exist_ok=True)
        inside = Client(application)
        inside.put(f"/{bucket}")
        for kept in folder.iterdir():
            if not kept.name.startswith("."):
                inside.put(unquote(kept.name), data=kept.read_bytes())

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        kept = self._folder / quote(path, safe="")
        if method == "PUT" and path.count("/") > 1:
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BytesIO(body)
            try:
                _write(kept, body)
            except OSError:
                start_response("507 Insufficient Storage", [("Content-Type", "application/xml")])
                return [FULL]
        if method == "DELETE":
            kept.unlink(missing_ok=True)
        return self._application(environ, start_response)


def _write(path: Path, content: bytes) -> None:
    coming = path.with_name(f".{os.urandom(8).hex()}")
    try:
        coming.write_bytes(content)
        coming.replace(path)
    finally:
        coming.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
