"""Turn what goes wrong while results are published into one PublishError with the way out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.config.overlaps import named_results
from bedrock_spark.errors import ConfigError, PublishError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.run import Run

# Spark's conditions whose message quotes a value of a row
# (https://spark.apache.org/docs/latest/sql-error-conditions.html).
_WITH_VALUES = re.compile(
    r"^\[?(?:CAST_|ARITHMETIC_|NUMERIC_|CANNOT_PARSE|CONVERSION_|DATETIME_|INVALID_ARRAY|DIVIDE_"
    r"|DELTA_(?:NOT_NULL|VIOLATE)_|EXCEED_LIMIT|MALFORMED_RECORD|MERGE_CARDINALITY"
    r"|INCORRECT_RAMP|NULLABLE_ROW|NOT_NULL_)"
)
_CONDITION = re.compile(r"\[?([A-Z][A-Z0-9_.]+)\]?")
# What only says that something below it failed.
_WRAPPERS = re.compile(
    r"^(?:Job aborted|Task failed|Writing job aborted|\[TASK_WRITE_FAILED\]"
    r"|Unable to close resource|\[WRITING_JOB_ABORTED\]"
    r"|An error occurred while calling|\[FAILED_EXECUTE_UDF\]|An exception was thrown from)"
)
_SQLSTATE = re.compile(r"\.? SQLSTATE: \w+$")
# The last line of a Python worker's traceback, and the causes of a task that failed elsewhere.
_OURS = re.compile(r"^bedrock_spark\.errors\.\w+: (.+)$", re.MULTILINE)
_PYTHON = re.compile(r"^([\w.]+(?:Error|Exception|Invalid)\w*)(?::|$)", re.MULTILINE)
_CAUSED_BY = re.compile(
    r"Caused by: [\w.$]+: (.+)|Lost task [^\n]*?: [\w.$]+(?:Exception|Error): (.+)"
)
_LONGEST = 400


@contextmanager
def publish_errors(run: Run, command_config: str) -> Iterator[None]:
    """Raise a PublishError for every error of Spark, and every refusal of the place, in the block.

    command_config: the config as it is named on the command line
    """
    try:
        yield
    except (PySparkException, Py4JError, OSError) as exc:
        raise PublishError(_message(run, first_line(exc), command_config)) from exc
    except ConfigError as exc:
        raise PublishError(_message(run, str(exc), command_config)) from exc


def _message(run: Run, cause: str, command_config: str) -> str:
    place = str(named_results(run.config.results) or "results")
    named = cause if cause.startswith((place, "--partial", "results.")) else f"{place}: {cause}"
    return (
        f"{named.rstrip('. ')}. The results could not be published. Nothing is lost: all answers "
        f"are in {join_uri(run.storage.uri, layout.RESULTS)}/. Remove the cause, or name another "
        f"place, and publish them with: bedrock-spark collect {command_config}"
    )


def first_line(exc: BaseException) -> str:
    """Return the first line of what caused an error of Spark, without any value of a row."""
    text = _telling(exc)
    ours = _OURS.search(text)
    if ours is not None:
        return ours[1].strip()
    if "Traceback (most recent call last)" in text:
        # The message of any other Python error may hold a value.
        kinds = _PYTHON.findall(text)
        return f"a Python worker failed with {kinds[-1] if kinds else 'an error'}"
    line = text.strip().split("\n")[0].strip() or type(exc).__name__
    if _WITH_VALUES.match(line):
        condition = _CONDITION.match(line)
        return condition[1] if condition is not None else type(exc).__name__
    line = _SQLSTATE.sub("", line)
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …"


def _telling(exc: BaseException) -> str:
    """Return the message of the error, or of its deepest cause if it only wraps that."""
    # The Java error is held by py4j's errors in one way, and by Spark's in another.
    java = getattr(exc, "java_exception", None) or getattr(exc, "_origin", None)
    messages = (_messages(java) if java is not None else []) or [str(exc)]
    if not _WRAPPERS.match(messages[0]):
        return messages[0]
    informative = [message for message in messages if not _WRAPPERS.match(message)]
    if informative:
        return informative[-1]
    causes = _CAUSED_BY.findall(messages[0])
    return next((c[0] or c[1] for c in reversed(causes)), messages[0])


def _messages(java: Any) -> list[str]:
    found: list[str] = []
    while java is not None and len(found) < 20:
        message = java.getMessage()
        if message:
            found.append(str(message))
        java = java.getCause()
    return found
