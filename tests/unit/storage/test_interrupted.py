"""Ctrl-C while a thread begins: the process ends all the same.

The pool does not know the thread then, so Python would wait at its end for a thread that waits for
work. That needs a process of its own, which holds the traceback as a command does.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

_SCRIPT = """
import os, signal, sys, threading
from contextlib import nullcontext
from bedrock_spark.cli.ending import run_to_end
from bedrock_spark.storage import calls_at_once, list_all, read_ahead, scan_ahead
from bedrock_spark.storage.base import StoredObject
from bedrock_spark.storage.s3_writer import PART_BYTES, S3Writer


class Remote:
    uri = "s3://bucket/run"

    def scan(self, prefix):
        return iter([StoredObject("key", 1, "v")])

    list = scan

    def read_range(self, key, start, stop):
        return b"x"

    def create_multipart_upload(self, **_):
        return {"UploadId": "u"}

    def upload_part(self, **_):
        return {"ETag": "e"}


def several_calls():
    with calls_at_once(Remote()) as calls:
        for _ in range(4):
            calls.begin(int)


def upload():
    writer = S3Writer(Remote(), "bucket", "key", nullcontext)
    try:
        writer.write(b"x" * PART_BYTES)
    finally:
        writer.abort()


WORK = {
    "scan_ahead": lambda: list(scan_ahead(Remote(), "x")),
    "calls_at_once": several_calls,
    "list_all": lambda: list_all(Remote(), ["a", "b"]),
    "read_ahead": lambda: list(read_ahead(Remote(), [("k", 0, 1)] * 9)),
    "upload": upload,
}
start, left = threading.Thread.start, int(sys.argv[2])


def interrupted_start(self):
    global left
    start(self)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGINT)


threading.Thread.start = interrupted_start
interrupts = []
code = run_to_end(WORK[sys.argv[1]], None, lambda interrupt: interrupts.append(interrupt) or 130)
sys.exit(code)
"""


@pytest.mark.parametrize(
    ("work", "thread"),
    [("scan_ahead", 1), ("calls_at_once", 2), ("list_all", 1), ("read_ahead", 1), ("upload", 1)],
)
def test_the_process_ends_though_a_thread_had_just_begun(work: str, thread: int) -> None:
    command = [sys.executable, "-c", _SCRIPT, work, str(thread)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (130, "")
