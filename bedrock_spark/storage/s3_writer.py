"""Write an object of S3 while its bytes are made: parts are uploaded behind the writer.

A small object is one put. A larger one is a multipart upload: it is not visible before it is
completed, and no listing of objects has it. An upload whose process is killed is aborted by
`S3Storage.delete_leftovers`. https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

from bedrock_spark.aws.protocols import S3Client
from bedrock_spark.errors import StorageError
from bedrock_spark.storage.base import PARTS_BEHIND

log = logging.getLogger(__name__)

# The bytes of a part. S3 takes 5 MiB to 5 GiB, and the last one may be smaller; 10,000 of them are
# 50 GB. The least, because prepare writes two objects at once, and a worker holds their parts.
PART_BYTES = 5 * 1024 * 1024
# An object that reaches this size mostly becomes larger. So the upload is begun: the first part
# does not wait for it. If the object ends before it has a part, it is put, and the upload aborted.
BEGIN_BYTES = 2_000_000


class S3Writer:
    """An object while it is written; see `ObjectWriter`.

    errors: makes a context that raises errors of S3 as StorageError
    behind: how many parts are uploaded while the writer goes on
    """

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        name: str,
        errors: Callable[[], AbstractContextManager[None]],
        behind: int = PARTS_BEHIND,
    ) -> None:
        self.size = 0
        self._behind = behind
        self._client = client
        self._object: dict[str, Any] = {"Bucket": bucket, "Key": name}
        self._errors = errors
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._pool: ThreadPoolExecutor | None = None
        self._upload: Future[str] | None = None
        self._running: deque[Future[dict[str, Any]]] = deque()
        self._parts: list[dict[str, Any]] = []
        self._is_over = False

    def write(self, data: bytes | memoryview) -> int:
        """Append bytes. Raises StorageError if an earlier part could not be uploaded."""
        piece = bytes(data)
        self._held.append(piece)
        self._held_bytes += len(piece)
        self.size += len(piece)
        if self._held_bytes >= BEGIN_BYTES and self._pool is None:
            self._pool = ThreadPoolExecutor(self._behind + 1, thread_name_prefix="upload-behind")
            self._upload = self._pool.submit(self._begin)
        if self._held_bytes >= PART_BYTES:
            self._send()
        return len(piece)

    def commit(self) -> str:
        """Make the object visible, whole, in place of an existing one; return its ETag."""
        reply = self._complete() if self._parts or self._running else self._put()
        self._is_over = True
        return str(reply["ETag"]).strip('"')

    def abort(self) -> None:
        """Forget the object, unless it was committed. A failure is logged: the caller has its own.

        Parts that stay are deleted with other leftovers.
        """
        if self._is_over:
            return
        self._is_over = True
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._abort_upload()

    def _put(self) -> Mapping[str, Any]:
        """Put the object, which has no part, while an upload that was begun is aborted."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.submit(self._abort_upload)
        try:
            with self._errors():
                return self._client.put_object(**self._object, Body=b"".join(self._held))
        finally:
            if pool is not None:
                pool.shutdown()

    def _complete(self) -> Mapping[str, Any]:
        assert self._pool is not None
        assert self._upload is not None
        if self._held:
            self._put_held()  # the pool has a thread for it: it waits for no earlier part
        while self._running:
            self._wait()
        with self._errors():
            reply = self._client.complete_multipart_upload(
                **self._object,
                UploadId=self._upload.result(),
                MultipartUpload={"Parts": self._parts},
            )
        self._pool.shutdown()
        return reply

    def _abort_upload(self) -> None:
        if self._upload is None or self._upload.cancel():
            return  # it has not begun
        try:
            with self._errors():
                upload = self._upload.result()
                self._client.abort_multipart_upload(**self._object, UploadId=upload)
        except StorageError as exc:
            log.warning("an upload was not aborted: %s", exc)

    def _send(self) -> None:
        """Upload what is held as the next part, in the background."""
        while len(self._running) >= self._behind:
            self._wait()
        self._put_held()

    def _put_held(self) -> None:
        assert self._pool is not None
        data, self._held, self._held_bytes = b"".join(self._held), [], 0
        number = len(self._parts) + len(self._running) + 1
        self._running.append(self._pool.submit(self._put_part, number, data))

    def _wait(self) -> None:
        with self._errors():
            self._parts.append(self._running.popleft().result())

    def _begin(self) -> str:
        # botocore adds a CRC-32 to each part, unless the user's settings say otherwise. S3 takes it
        # only if the upload was begun with it. boto3's own uploads do the same.
        sums = self._client.meta.config.request_checksum_calculation == "when_supported"
        options = {"ChecksumAlgorithm": "CRC32"} if sums else {}
        reply = self._client.create_multipart_upload(**self._object, **options)
        return str(reply["UploadId"])

    def _put_part(self, number: int, data: bytes) -> dict[str, Any]:
        assert self._upload is not None
        reply = self._client.upload_part(
            **self._object, UploadId=self._upload.result(), PartNumber=number, Body=data
        )
        # The completion must name the checksum of each part.
        sums = {name: value for name, value in reply.items() if name.startswith("Checksum")}
        return {"ETag": reply["ETag"], "PartNumber": number, **sums}
