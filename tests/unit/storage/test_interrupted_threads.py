"""Ctrl-C while a thread starts leaves no thread behind: the process would wait for it forever."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from bedrock_spark.storage import StoredObject, calls_at_once, scan_ahead
from bedrock_spark.storage.commit import commit_all
from bedrock_spark.storage.listing import list_all
from bedrock_spark.storage.read_ahead import read_ahead
from bedrock_spark.storage.s3_writer import PART_BYTES, S3Writer


class Remote:
    """A store with one object."""

    def scan(self, prefix: str) -> Iterator[StoredObject]:
        yield StoredObject(f"{prefix}a", 1, "v")

    def list(self, prefix: str) -> list[StoredObject]:
        return list(self.scan(prefix))

    def read_range(self, key: str, start: int, stop: int) -> bytes:
        return key.encode()


def write_parts(_: Any) -> None:
    client: Any = SimpleNamespace(
        meta=SimpleNamespace(config=SimpleNamespace(request_checksum_calculation="")),
        create_multipart_upload=lambda **_: {"UploadId": "u"},
    )
    writer = S3Writer(client, "b", "k", nullcontext)
    try:
        writer.write(b" " * PART_BYTES)
    finally:
        writer.abort()


def begin_call(remote: Any) -> None:
    with calls_at_once(remote) as calls:
        calls.begin(remote.read_range, "a", 0, 1)


def commit_two(_: Any) -> None:
    client: Any = SimpleNamespace(put_object=lambda **_: {"ETag": ""})
    commit_all([S3Writer(client, "b", key, nullcontext) for key in "kl"])


WORK: dict[str, Callable[[Any], object]] = {
    "scan_ahead": lambda remote: list(scan_ahead(remote, "")),
    "list_all": lambda remote: list_all(remote, ["a", "b"]),
    "read_ahead": lambda remote: list(read_ahead(remote, [("a", 0, 1)])),
    "calls_at_once": begin_call,
    "commit_all": commit_two,
    "S3Writer": write_parts,
}


@pytest.mark.parametrize("work", WORK)
def test_a_start_that_is_interrupted_leaves_no_thread(
    monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    """The thread has started; the one that started it gets Ctrl-C before it knows."""
    started: list[threading.Thread] = []
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        started.append(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        WORK[work](Remote())
    assert started
    for thread in started:
        thread.join(20)
        assert not thread.is_alive()
    assert caught.value.__traceback__ is not None  # it kept what the work had made until here
