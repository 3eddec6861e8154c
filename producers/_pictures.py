"""Pictures under the hash of their content, each stored once: in S3, or in a folder in the same layout."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from producers._command_line import InputError, Unavailable
from udfs.providers.clients import s3_client

MOST_KNOWN, KNOWN_SECONDS = 4096, 3600.0  # of pictures that were just stored; later someone may have deleted them


class UnknownFormat(Exception):
    """Bytes that are no picture of a known kind; the message says so."""


class Stored(NamedTuple):
    """Where a picture is; `content_hash` is the SHA-256 of its bytes in hex."""

    bucket: str
    key: str
    content_hash: str


class PictureStore(Protocol):
    def put(self, content: bytes) -> Stored:
        """Store a picture if it is not there yet. Raises UnknownFormat for what is none."""
        ...


def suffix(content: bytes) -> str:
    """`jpg`, `png` or `webp`, by the first bytes. Raises UnknownFormat."""
    if content.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp"
    raise UnknownFormat("it is neither a JPEG, nor a PNG, nor a WebP")


def stored_as(content: bytes, bucket: str) -> Stored:
    """The name of a picture: `images/<first 2 of its hash>/<hash>.<suffix>`."""
    name = hashlib.sha256(content).hexdigest()
    return Stored(bucket, f"images/{name[:2]}/{name}.{suffix(content)}", name)


class S3Pictures:
    """Pictures in a bucket. An object that is there is left as it is: the same name is the same bytes."""

    def __init__(self, endpoint: str, region: str, bucket: str) -> None:
        """Raises Unavailable for an AWS profile that is not there."""
        self._endpoint = endpoint
        self._bucket = bucket
        try:
            self._client = s3_client(endpoint, region)
        except BotoCoreError as error:
            raise Unavailable(self._unreachable(error)) from None
        self._there: OrderedDict[str, float] = OrderedDict()  # by key: until when it need not be asked again

    def put(self, content: bytes) -> Stored:
        """As PictureStore. Raises Unavailable when S3 does not take it."""
        stored = stored_as(content, self._bucket)
        if self._there.get(stored.key, 0.0) < time.monotonic():
            kind = stored.key.rpartition(".")[2]
            try:
                # `If-None-Match: *` is one request where asking first would be two, and needs no right to read.
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=stored.key,
                    Body=content,
                    ContentType="image/jpeg" if kind == "jpg" else f"image/{kind}",
                    Metadata={"sha256": stored.content_hash},
                    IfNoneMatch="*",
                )
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] != 412:
                    raise Unavailable(self._refused(error.response["Error"]["Code"])) from None
            except BotoCoreError as error:
                raise Unavailable(self._unreachable(error)) from None
            self._there[stored.key] = time.monotonic() + KNOWN_SECONDS
            self._there.move_to_end(stored.key)
            if len(self._there) > MOST_KNOWN:
                self._there.popitem(last=False)
        return stored

    def _refused(self, code: str) -> str:
        if code in ("NoSuchBucket", "404"):
            return (
                f"S3 at {self._endpoint} has no bucket {self._bucket}: make it, or name another in"
                " CROWDPULSE_S3_BUCKET. `make up` makes that of the local stack."
            )
        if code in ("AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"):
            return (
                f"S3 at {self._endpoint} does not let us write to the bucket {self._bucket} ({code}): check the"
                " credentials that boto3 finds (AWS_PROFILE, AWS_ACCESS_KEY_ID or a role) and their right to"
                " s3:PutObject on images/*."
            )
        return f"S3 at {self._endpoint} did not take a picture ({code}). Try again later."

    def _unreachable(self, error: BotoCoreError) -> str:
        if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"):
            return (
                "boto3 finds no credentials for S3: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                " (the local stack takes any)."
            )
        return (
            f"No S3 at {self._endpoint} ({type(error).__name__}). Start it with `make up`, or name another in"
            " CROWDPULSE_S3_ENDPOINT. --no-pictures does without."
        )


class FolderPictures:
    """Pictures in a folder, with the names that they would have in the bucket."""

    def __init__(self, folder: Path, bucket: str) -> None:
        self._folder = folder
        self._bucket = bucket

    def put(self, content: bytes) -> Stored:
        """As PictureStore. Raises InputError for a folder that cannot be written."""
        stored = stored_as(content, self._bucket)
        file = self._folder / stored.key
        try:
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
        except OSError as error:
            raise InputError(f"Pictures cannot be written to {self._folder}: {error.strerror}.") from None
        return stored
