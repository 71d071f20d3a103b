"""A server that speaks S3: moto's, in this process, with credentials that the environment has."""

import os
from typing import Final

import boto3
from moto.server import ThreadedMotoServer

BUCKET: Final = "handoff-media"
CREDENTIALS: Final = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class S3Server:
    """Runs while it is entered, with one empty bucket."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer(port=0, verbose=False)
        self._before = {name: os.environ.get(name) for name in CREDENTIALS}

    def __enter__(self) -> "S3Server":
        os.environ.update(CREDENTIALS)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
        client = boto3.client("s3", endpoint_url=self.url, region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        client.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def keys(self, prefix: str) -> list[str]:
        """Return the keys in the bucket that begin so."""
        client = boto3.client("s3", endpoint_url=self.url, region_name="us-east-1")
        found = client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        client.close()
        return [one["Key"] for one in found]

    def address(self, prefix: str) -> str:
        """Return the address of a media store in the bucket."""
        return f"s3://{BUCKET}/{prefix}?endpoint_url={self.url}"
