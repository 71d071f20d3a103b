"""A media store in a bucket of S3, or of what speaks its protocol: ``s3://bucket/prefix?endpoint_url=https://…&region=…``.

By boto3, whose calls block, in threads of their own: it is the maker's own client, Rasa brings it, and its credentials come from
the environment as everywhere (``AWS_ACCESS_KEY_ID`` and so on), never from the address.
"""

import asyncio
import contextlib
import os
import re
import stat
import tempfile
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

from rasa_handoff.media.media_errors import MediaAway, MediaFull, MediaMissing
from rasa_handoff.media.media_store import PIECE, MediaStore
from rasa_handoff.protocol.errors import SettingsError

T = TypeVar("T")

OPTIONS: Final = ("endpoint_url", "region")
THREADS: Final = 16
"""Calls under way at the same time; others wait."""
CONNECT_SECONDS: Final = 5
READ_SECONDS: Final = 20
MISSING: Final = frozenset({"404", "NoSuchKey", "NotFound"})
NO_ROOM: Final = frozenset({"507", "XMinioStorageFull", "QuotaExceeded", "InsufficientStorage", "EntityTooLarge"})
BUCKET: Final = re.compile(r"[A-Za-z0-9._-]{3,255}", re.ASCII)
"""The name of a bucket; more isn't sent by boto3."""
HURRIED_SECONDS: Final = 3
"""How long a person waits for a connection, and for an answer."""
NO_RIGHTS: Final = frozenset(
    {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "403"}
)
ELSEWHERE: Final = frozenset(
    {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}
)
HOW: Final = "write s3://bucket/prefix, with ?endpoint_url=https://… for a store that isn't Amazon's"


class S3Store(MediaStore):
    """Files as objects of a bucket, below a prefix."""

    def __init__(self, address: str, hurried: bool = False) -> None:
        """Raises:
        SettingsError: the address can't be used, or boto3 is missing; one sentence.
        """
        parts = urlsplit(address)
        options = dict(parse_qsl(parts.query))
        if not parts.hostname or parts.username is not None or set(options) - set(OPTIONS):
            raise SettingsError(f"The media store's address can't be used: {HOW}.")
        if not BUCKET.fullmatch(parts.netloc):
            raise SettingsError(
                f"The media store's address can't be used: {parts.netloc!r} is no name of a bucket: {HOW}."
            )
        self._bucket = parts.netloc
        self._prefix = f"{parts.path.strip('/')}/" if parts.path.strip("/") else ""
        try:
            self._client = _client(options, hurried)
        except ImportError as problem:
            raise SettingsError("A media store in S3 needs boto3: pip install 'rasa-handoff[s3]'.") from problem
        except ValueError as problem:  # of botocore: the endpoint's address
            raise SettingsError(f"The media store's address can't be used: {problem}; {HOW}.") from problem
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="media")
        self._owner = getattr(os, "getuid", int)()
        self.incoming = Path(tempfile.gettempdir()) / f"rasa-handoff-{self._owner}"

    async def __aenter__(self) -> "S3Store":
        await asyncio.to_thread(self.sweep_incoming)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False)
        self._client.close()

    def make_incoming(self) -> None:
        """Make the folder, among the system's temporary ones, where others could have made one of this name."""
        self.incoming.mkdir(mode=0o700, exist_ok=True)
        found = self.incoming.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != self._owner or stat.S_IMODE(found.st_mode) & 0o077:
            raise PermissionError(f"{self.incoming} isn't a folder of this user alone: take it away")

    async def _call(self, call: Callable[[], T]) -> T:
        """Call boto3 in a thread.

        Raises:
            MediaMissing, MediaFull, MediaAway: by what the store answers.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except ClientError as problem:
            code = str(problem.response.get("Error", {}).get("Code", ""))
            status = str(problem.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
            if code in MISSING:
                raise MediaMissing from problem
            if code in NO_ROOM or status in NO_ROOM:
                raise MediaFull(str(problem)) from problem
            raise MediaAway(str(problem), self._advice(code)) from problem
        except (BotoCoreError, OSError) as problem:  # OSError: of urllib3, while an answer is read
            raise MediaAway(str(problem), self._advice(type(problem).__name__)) from problem

    def _advice(self, code: str) -> str:
        """Return what to do about an error of the store, or of boto3; nothing about one that may pass."""
        if code == "NoSuchBucket":
            return f"make the bucket {self._bucket}, or name another one"
        if code in NO_RIGHTS:
            return f"let the credentials of this process's environment put, get and delete objects in {self._bucket}"
        if code in ("NoCredentialsError", "PartialCredentialsError"):
            return "put the credentials into the environment of this process (AWS_ACCESS_KEY_ID and so on)"
        return "name the bucket's region by ?region=" if code in ELSEWHERE else ""

    async def probe(self) -> None:
        """Keep a small object, read it and delete it."""
        where = self._where(f"probe.{os.urandom(8).hex()}")
        await self._call(lambda: self._client.put_object(**where, Body=b"probe"))
        await self._call(lambda: self._client.get_object(**where)["Body"].read())
        await self._call(lambda: self._client.delete_object(**where))

    def _where(self, id: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + id}

    async def put(self, id: str, file: Path) -> None:
        """Keep a copy of the file, as one request: an object is there as a whole or not at all."""
        await self._call(lambda: self._put(id, file))

    def _put(self, id: str, file: Path) -> None:
        with file.open("rb") as body:
            self._client.put_object(**self._where(id), Body=body, ContentType="application/octet-stream")

    async def read(self, id: str, first: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of a file in pieces."""
        if length == 0:
            return
        wanted = {} if first == 0 and length is None else {"Range": _range(first, length)}
        answer = await self._call(lambda: self._client.get_object(**self._where(id), **wanted))
        body = answer["Body"]
        with contextlib.closing(body):
            while piece := await self._call(lambda: body.read(PIECE)):
                yield piece

    async def delete(self, id: str) -> None:
        """Delete a file."""
        with contextlib.suppress(MediaMissing):
            await self._call(lambda: self._client.delete_object(**self._where(id)))


def _range(first: int, length: int | None) -> str:
    return f"bytes={first}-" if length is None else f"bytes={first}-{first + length - 1}"


def _client(options: dict[str, str], hurried: bool) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=HURRIED_SECONDS if hurried else CONNECT_SECONDS,
        read_timeout=HURRIED_SECONDS if hurried else READ_SECONDS,
        retries={"total_max_attempts": 1 if hurried else 2, "mode": "standard"},
        max_pool_connections=THREADS,
        # Checksums that aren't required are unknown to many a store that speaks S3.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.client(
        "s3", endpoint_url=options.get("endpoint_url"), region_name=options.get("region"), config=config
    )
