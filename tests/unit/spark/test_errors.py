"""What Spark reports, in one line: recorded chains of errors of Spark 3.5 and 4."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
from py4j.protocol import Py4JError, Py4JNetworkError
from pyspark import SparkContext
from pyspark.errors import AnalysisException, PySparkException

from bedrock_spark.errors import (
    BedrockSparkError,
    SourceError,
    SparkFailedError,
    StorageUnavailableError,
)
from bedrock_spark.spark.errors import (
    explain,
    noted_unit,
    own_error,
    source_errors,
    stage_errors,
)

SECRET = "S3CRET"
ABORTED = (
    "Job aborted due to stage failure: Task 0 in stage 1.0 failed 1 times, most recent failure: "
    "Lost task 0.0 in stage 1.0 (TID 6) (localhost executor driver): "
)
READING = (
    "[FAILED_READ_FILE.NO_HINT] Encountered error while reading file file:///x/a.csv.  SQLSTATE: K"
)
MALFORMED = (
    f"[MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION] Malformed records are detected in record "
    f"parsing: [2,{SECRET}].\nParse Mode: FAILFAST."
)
OWN = """
  An exception was thrown from the Python worker. Please see the stack trace below.
Traceback (most recent call last):
  File "/x/task.py", line 3, in read
    raise StorageUnavailableError("s3://b/k: SlowDown")
bedrock_spark.errors.StorageUnavailableError: s3://b/k: SlowDown

\tat org.apache.spark.api.python.BasePythonRunner$ReaderIterator
"""
# The classes and messages of a chain, outermost first, and what is said of it.
CHAINS: dict[str, tuple[list[tuple[str, str]], str, bool | None]] = {
    "malformed, 4": (
        [("SparkException", READING), ("SparkException", MALFORMED)],
        "the file /x/a.csv has a malformed record, and mode: FAILFAST stops at the first one",
        True,
    ),
    "malformed, 3.5": (
        [("SparkException", ABORTED + MALFORMED), ("SparkException", MALFORMED)],
        "a file has a malformed record",
        True,
    ),
    "malformed while inferring, 3.5": (
        [("SparkException", "Malformed records are detected in schema inference. Parse Mode: …")],
        "a file has a malformed record",
        True,
    ),
    "no catalog": (
        [
            (
                "AnalysisException",
                "[REQUIRES_SINGLE_PART_NAMESPACE] spark_catalog requires a single-part namespace, "
                "but got `nocat`.`db`.",
            )
        ],
        "the session has no catalog nocat: set spark.sql.catalog.nocat, or write database.table",
        True,
    ),
    "no catalog, 4.3": (
        [
            (
                "AnalysisException",
                "[REQUIRES_SINGLE_PART_NAMESPACE] spark_catalog requires a single-part namespace, "
                "but got identifier `nocat`.`db`.`tickets`",
            )
        ],
        "the session has no catalog nocat: set spark.sql.catalog.nocat, or write database.table",
        True,
    ),
    "no database": (
        [("AnalysisException", "[SCHEMA_NOT_FOUND] The schema `nodb` cannot be found. Verify")],
        "the database `nodb` does not exist: CREATE DATABASE it first",
        True,
    ),
    "no database, Glue": (
        [
            ("x.NoSuchNamespaceException", "Namespace does not exist: nodb"),
            ("x.EntityNotFoundException", "Database nodb not found. (Service: Glue, Status Code…"),
        ],
        "the database nodb does not exist",
        True,
    ),
    "another catalog's format": (
        [("java.lang.IllegalArgumentException", "Unsupported format in USING: delta")],
        "the catalog holds tables of Iceberg, none of delta: write format: iceberg",
        True,
    ),
    "types apart, 4": (
        [
            (
                "SparkException",
                "[FAILED_READ_FILE.PARQUET_COLUMN_DATA_TYPE_MISMATCH] Encountered error while "
                "reading file file:///x/b.parquet. Data type mismatches when reading Parquet "
                "column [body]. Expected Spark type string, actual Parquet type INT64. SQLSTATE: K",
            )
        ],
        "the column body of the file /x/b.parquet is INT64, and other files have string",
        True,
    ),
    "types apart, 3.5": (
        [
            (
                "SparkException",
                "Parquet column cannot be converted in file s3a://b/b.parquet. Column: [body], "
                "Expected: string, Found: INT64.",
            )
        ],
        "the column body of the file s3a://b/b.parquet is INT64, and other files have string",
        True,
    ),
    "schemas apart": (
        [
            ("SparkException", '[CANNOT_MERGE_SCHEMAS] Failed merging schemas:\n"STRUCT<…>"'),
            ("SparkException", 'Failed to merge incompatible data types "BIGINT" and "STRING".'),
        ],
        "do not fit together: a column is BIGINT in one and STRING in another",
        True,
    ),
    "cast": (
        [
            (
                "NumberFormatException",
                f"[CAST_INVALID_INPUT] The value '{SECRET}' of the type \"STRING\" cannot be cast "
                'to "INT" because it is malformed.\n== SQL (line 1, position 8) ==\nselect …',
            )
        ],
        "a value of the type STRING cannot be cast to INT at line 1, position 8 of the query",
        True,
    ),
    "vanished, 4": (
        [
            (
                "SparkException",
                "[FAILED_READ_FILE.FILE_NOT_EXIST] Encountered error while reading file "
                "file:///x/b.parquet. File does not exist.",
            )
        ],
        "the file /x/b.parquet is not there any more",
        True,
    ),
    "vanished, 3.5": (
        [("org.apache.spark.SparkFileNotFoundException", "File file:/x/b does not exist\nIt is")],
        "the file /x/b is not there any more",
        True,
    ),
    "no Parquet, 3.5": (
        [("java.lang.RuntimeException", "file:/x/b.parquet is not a Parquet file. Expected …")],
        "the file /x/b.parquet is of another format, or its end is missing",
        True,
    ),
    "a type of the JVM only": (
        [("ParseException", "[CANNOT_PARSE_DATATYPE] Unable to parse datatype. ")],
        "it has a column of a type that PySpark cannot read, such as",
        True,
    ),
    "no columns": (
        [("AnalysisException", "[UNABLE_TO_INFER_SCHEMA] Unable to infer schema for Parquet.")],
        "there is no file of this format, or no file at all",
        True,
    ),
    "broken gzip": (
        [("SparkException", READING), ("java.io.IOException", "not a gzip file\n\tat x")],
        "the file /x/a.csv cannot be read: IOException: not a gzip file",
        True,
    ),
    "access": (
        [("java.nio.file.AccessDeniedException", "s3a://b/k: getFileStatus: 403")],
        "AccessDeniedException: s3a://b/k: getFileStatus: 403",
        True,
    ),
    "unknown, with a code": (
        [("SparkRuntimeException", f"[USER_RAISED_EXCEPTION] {SECRET} SQLSTATE: P0001")],
        "Spark failed with USER_RAISED_EXCEPTION",
        True,
    ),
    "unknown": (
        [("java.lang.RuntimeException", SECRET)],
        "Spark failed with RuntimeException",
        None,
    ),
    "a Python function": (
        [("org.apache.spark.api.python.PythonException", f"Traceback\n  x\nValueError: {SECRET}")],
        "a Python function failed with ValueError; the cause of this error",
        False,
    ),
    "memory": (
        [("SparkException", ABORTED), ("java.lang.OutOfMemoryError", "Java heap space")],
        "Spark lost a process, most likely because it needed more memory",
        False,
    ),
    "disk": (
        [("java.io.IOException", "No space left on device")],
        "a disk of Spark is full",
        False,
    ),
}


class JavaError:
    """Stands in for an exception of the JVM."""

    def __init__(self, chain: list[tuple[str, str]]) -> None:
        self._kind, self._message = chain[0]
        self._cause = JavaError(chain[1:]) if chain[1:] else None

    def getClass(self) -> JavaError:  # noqa: N802 - Java's name
        return self

    def getName(self) -> str:  # noqa: N802
        return self._kind

    def getMessage(self) -> str:  # noqa: N802
        return self._message

    def getCause(self) -> JavaError | None:  # noqa: N802
        return self._cause


def failed(chain: list[tuple[str, str]]) -> Py4JError:
    error = Py4JError("An error occurred while calling o1.collect.")
    error.java_exception = JavaError(chain)
    return error


@pytest.mark.parametrize("name", CHAINS)
def test_a_failure_is_one_line_without_a_row_s_value(name: str) -> None:
    """It names the file and the reason, and whether the source is at fault."""
    chain, said, of_source = CHAINS[name]
    failure = explain(failed(chain))
    assert said in failure.text
    assert failure.of_source is of_source
    assert SECRET not in failure.text
    assert "\n" not in failure.text
    expected: Any = SourceError if of_source else SparkFailedError
    where = r"^prepare: " if of_source is False else r"^source\.sql: "
    with pytest.raises(expected, match=where) as caught, source_errors("source.sql"):
        raise failed(chain)
    assert isinstance(caught.value.__cause__, Py4JError)


TRACEBACK = """Traceback (most recent call last):
  File "/x/worker.py", line 1, in main
    x = 1
{error}
bedrock_spark was at work on shard-00007-01
"""
LOST = (
    "Job aborted due to stage failure: Task 0 in stage 1.0 failed 4 times, most recent failure: "
    "Lost task 0.3 in stage 1.0 (TID 6) (10.0.0.7 executor 2): "
)
PYTHON = "org.apache.spark.api.python.PythonException"
ON_EXECUTOR = "That was on an executor, which does not have the driver's AWS_* variables"
SHIP = "Ship the environment: --archives environment.tar.gz#environment"
MEMORY = "raise spark.executor.memory, spark.executor.memoryOverhead"
# What an executor's task, or its JVM, said; and what a person is told.
ON_CLUSTER: dict[str, tuple[str, str]] = {
    "no package": (
        "ModuleNotFoundError: No module named 'bedrock_spark'",
        f"the Python of the executors has no module bedrock_spark. {SHIP}",
    ),
    "no module of a package": (
        "pyspark.serializers.X: y\nModuleNotFoundError: No module named 'pyarrow.lib'",
        f"the Python of the executors has no module pyarrow. {SHIP}",
    ),
    "no Python": (
        'java.io.IOException: Cannot run program "./environment/bin/python": error=2, No such file',
        f"the executors have no Python at ./environment/bin/python. {SHIP}",
    ),
    "no Python, Java 21": (
        'java.io.IOException: Cannot run program "/opt/py": Exec failed, error: 2 (No such file or',
        "the executors have no Python at /opt/py",
    ),
    "another Python, 4": (
        "pyspark.errors.exceptions.base.PySparkRuntimeError: [PYTHON_VERSION_MISMATCH] Python in "
        "worker has different version: 3.9 than that in driver: 3.11, PySpark cannot run",
        "the executors have Python 3.9 and the driver has 3.11: both need the same minor version",
    ),
    "another Python, 3.5": (
        "PySparkRuntimeError: [PYTHON_VERSION_MISMATCH] Python in worker has different version "
        "(3, 10) than that in driver 3.11, PySpark cannot run",
        "the executors have Python 3.10 and the driver has 3.11",
    ),
    "no credentials": (
        "bedrock_spark.errors.StorageAccessError: s3://b/rows/shard-00007-01.parquet: Unable to "
        "locate credentials. Check the credentials of this process",
        ON_EXECUTOR,
    ),
    "expired token": (
        "bedrock_spark.errors.StorageAccessError: s3://b/k: An error occurred (ExpiredToken). The "
        "credentials have expired: renew them",
        "shard-00007-01: s3://b/k: An error occurred (ExpiredToken). The credentials have expired",
    ),
    "no such bucket": (
        "bedrock_spark.errors.StorageError: s3://b/k: (NoSuchBucket) The bucket does not exist",
        "shard-00007-01: s3://b/k: (NoSuchBucket)",
    ),
    "refused connection": (
        "bedrock_spark.errors.StorageUnavailableError: s3://b/k: Could not connect to the endpoint",
        "shard-00007-01: s3://b/k: Could not connect to the endpoint",
    ),
    "the round is over": (
        "bedrock_spark.errors.RunHeldError: s3://b: this round of the fallback is over",
        "shard-00007-01: s3://b: this round of the fallback is over",
    ),
    "disk of a task": ("OSError: [Errno 28] No space left on device", "a disk of Spark is full"),
    "memory of Python": ("MemoryError", MEMORY),
    "killed worker": (
        "org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)",
        MEMORY,
    ),
    "killed container": (
        "ExecutorLostFailure (executor 2 exited caused by one of the running tasks) Reason: "
        "Container from a bad node: container_1 on host: h. Exit status: 137. Diagnostics: [x]",
        MEMORY,
    ),
    "results": (
        "Total size of serialized results of 9 tasks (2 GiB) is bigger than "
        "spark.driver.maxResultSize (1024.0 MiB)",
        "raise spark.driver.maxResultSize",
    ),
    "task": (
        "Serialized task 1:0 was 200 bytes, which exceeds max allowed: spark.rpc.message.maxSize",
        "raise spark.rpc.message.maxSize",
    ),
    "no S3A": (
        "java.lang.ClassNotFoundException: Class org.apache.hadoop.fs.s3a.S3AFileSystem not found",
        "Spark has no file system for s3a:// here. Add --packages org.apache.hadoop:hadoop-aws:",
    ),
    "no s3": (
        'org.apache.hadoop.fs.UnsupportedFileSystemException: No FileSystem for scheme "s3"',
        "no file system for s3:// here. Write s3a:// for s3://, which only EMR knows. Add --pack",
    ),
    "no gs": ('UnsupportedFileSystemException: No FileSystem for scheme "gs"', "add the jars"),
    "S3A without credentials": (
        "org.apache.hadoop.fs.s3a.auth.NoAuthWithAWSException: No AWS Credentials provided",
        "Spark has no credentials for S3. It does not use those of boto3",
    ),
    "S3A without bucket": (
        "org.apache.hadoop.fs.s3a.UnknownStoreException: `s3a://b/': Bucket does not exist",
        "the bucket does not exist",
    ),
}  # fmt: skip


@pytest.mark.parametrize("is_connect", [False, True])
@pytest.mark.parametrize("name", ON_CLUSTER)
def test_a_failure_of_an_executor_is_one_line_with_its_stage_and_shard(
    name: str, *, is_connect: bool
) -> None:
    """And with what to do. Over Spark Connect there is no exception of the JVM, only its text."""
    error, said = ON_CLUSTER[name]
    text = LOST + TRACEBACK.format(error=error)
    exc = PySparkException(text) if is_connect else failed([("SparkException", text)])
    with pytest.raises(BedrockSparkError) as caught, stage_errors("collect"):
        raise exc
    message = str(caught.value)
    assert said in message
    assert "\n" not in message
    assert "shard-00007-01" in message
    if isinstance(caught.value, SparkFailedError):
        assert message.startswith("collect, shard-00007-01, on 10.0.0.7: ")
    assert caught.value.__cause__ is exc


def test_a_task_without_credentials_in_local_mode_is_the_driver_s() -> None:
    """There are no other machines, so nothing is said of them."""
    error = "bedrock_spark.errors.StorageAccessError: s3://b/k: Unable to locate credentials"
    text = ABORTED + TRACEBACK.format(error=error)
    own = own_error(failed([("SparkException", text)]))
    assert str(own) == "shard-00007-01: s3://b/k: Unable to locate credentials"


def test_a_task_notes_its_unit_in_its_error() -> None:
    """The last line of its traceback, which is all that Spark sends."""
    with pytest.raises(ValueError, match="x") as caught, noted_unit("shard-1"):
        raise ValueError("x")
    assert traceback.format_exception(caught.value)[-1] == "bedrock_spark was at work on shard-1\n"


def test_an_error_before_reading_keeps_spark_s_own_words() -> None:
    """They are about the query or the options, and no row was read."""
    text = "[UNRESOLVED_COLUMN] A column `x` cannot be resolved. SQLSTATE: 42703; line 1\n'Project"
    assert explain(AnalysisException(text)).text == (
        "[UNRESOLVED_COLUMN] A column `x` cannot be resolved line 1"
    )


@pytest.mark.parametrize(
    "exc", [failed([("SparkException", ABORTED), ("PythonException", OWN)]), PySparkException(OWN)]
)
def test_an_error_of_the_package_that_ended_a_task_is_raised_again(exc: Exception) -> None:
    """With its class: a caller can tell a throttled S3 from a wrong config."""
    own = own_error(exc)
    assert type(own) is StorageUnavailableError
    assert str(own) == "s3://b/k: SlowDown"
    for block in (stage_errors("collect"), source_errors("source.sql")):
        with pytest.raises(StorageUnavailableError) as caught, block:
            raise exc
        assert caught.value.__cause__ is exc


def test_secrets_are_hidden_in_message_and_cause() -> None:
    """Spark quotes options, such as a URL."""
    with (
        pytest.raises(BedrockSparkError) as caught,
        source_errors("source", lambda t: t.replace(SECRET, "…"), is_secret=True),
    ):
        raise AnalysisException(f"[BAD] {SECRET}")
    assert str(caught.value) == "source: [BAD] …"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_dead_java_process_is_no_fault_of_the_source() -> None:
    """The connection to it is lost."""
    assert "Java process has ended" in explain(Py4JNetworkError("Answer is empty")).text


def test_a_java_that_may_not_be_asked_does_not_hide_the_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On clusters that several users share, Databricks lets Python call a few classes only."""

    class Closed:
        def __getattr__(self, name: str) -> Any:
            raise Py4JError(f"{name} is not whitelisted")

    context = type("Context", (), {"_jvm": Closed()})()
    monkeypatch.setattr(SparkContext, "_active_spark_context", context)
    text = explain(PySparkException('No FileSystem for scheme "s3a"')).text
    assert text.startswith("Spark has no file system for s3a:// here. Add --packages")
