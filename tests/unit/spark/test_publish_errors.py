"""The first line of what went wrong in Spark, without a value of a row."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bedrock_spark.spark.publish_errors import first_line


class Java(SimpleNamespace):
    """An exception of the JVM, and what caused it."""

    @classmethod
    def of(cls, *messages: str | None) -> Java | None:
        if not messages:
            return None
        message, cause = messages[0], cls.of(*messages[1:])
        return cls(getMessage=lambda: message, getCause=lambda: cause)


class SparkError(Exception):
    def __init__(self, *messages: str | None) -> None:
        super().__init__(str(messages[0]))
        self._origin = Java.of(*messages)


WRITING = "[TASK_WRITE_FAILED] Task failed while writing rows to file:/lake. SQLSTATE: 58030"
LOST = (
    "Job aborted due to stage failure: Task 3 in stage 1.0 failed 4 times, most recent failure: "
    "Lost task 3.3 in stage 1.0 (TID 9) (10.0.0.7 executor 2): org.apache.spark.SparkException: "
    f"{WRITING}\n\tat org.apache.x\nCaused by: java.nio.file.AccessDeniedException: "
    "s3a://lake/out: Forbidden\n\tat org.apache.y\n"
)
TRACEBACK = "[PYTHON_EXCEPTION] An exception was thrown: Traceback (most recent call last):\n"


@pytest.mark.parametrize(
    ("messages", "line"),
    [
        (['No FileSystem for scheme "s3"'], 'No FileSystem for scheme "s3"'),
        (["Job aborted.", WRITING, "java.io.IOException: full", "full"], "full"),
        ([WRITING, "Unable to close resource", None, "No space left"], "No space left"),
        ([LOST], "s3a://lake/out: Forbidden"),
        (["[A_B] It is so. SQLSTATE: 42K04\n== SQL =="], "[A_B] It is so"),
        (["[CAST_INVALID_INPUT] The value 'secret' of …"], "CAST_INVALID_INPUT"),
        (["[DELTA_NOT_NULL_CONSTRAINT_VIOLATED] secret"], "DELTA_NOT_NULL_CONSTRAINT_VIOLATED"),
        (
            [TRACEBACK + "  File x\nbedrock_spark.errors.RunFolderError: f: run collect again\n"],
            "f: run collect again",
        ),
        (
            [TRACEBACK + "  File x\npyarrow.lib.ArrowInvalid: cannot convert secret\n"],
            "a Python worker failed with pyarrow.lib.ArrowInvalid",
        ),
        (["x" * 1_000], "x" * 400 + " …"),
    ],
)
def test_the_deepest_cause_that_says_something(messages: list[str], line: str) -> None:
    """What only wraps it says nothing; some messages quote a value."""
    assert first_line(SparkError(*messages)) == line


def test_an_error_of_python_is_its_first_line() -> None:
    """Without a message, its kind."""
    assert first_line(OSError("disk is full\nat")) == "disk is full"
    assert first_line(OSError()) == "OSError"
