"""Failures of the cluster that have a sentence of their own: executors, disks, memory, connectors.

A pattern that takes words out of a text matches the first line of an error of Python or Java whose
words are names of modules, files, classes or settings, never a value of a row.
"""

from __future__ import annotations

import re

from py4j.protocol import Py4JError
from pyspark import SparkContext

from bedrock_spark.spark.known_failure import Known, known

_SHIP = (
    "Ship the environment: --archives environment.tar.gz#environment, with "
    "spark.pyspark.python=./environment/bin/python (over Spark Connect: spark.addArtifact"
    '("environment.tar.gz#environment", archive=True))'
)
_HADOOP_AWS = "Add --packages org.apache.hadoop:hadoop-aws:{version}"


def hadoop_version() -> str:
    """Return the version of Hadoop that runs, or a name for it if there is nobody to ask.

    Some platforms let Python call a few classes of Java only.
    """
    context = SparkContext._active_spark_context
    jvm = getattr(context, "_jvm", None)
    try:
        if jvm is not None:
            return str(jvm.org.apache.hadoop.util.VersionInfo.getVersion())
    except Py4JError:
        pass
    return "VERSION, that of Spark's hadoop-client-api"


def _missing_module(match: re.Match[str], *_: str) -> str:
    name = match[1].partition(".")[0]
    return f"the Python of the executors has no module {name}. {_SHIP}"


def _versions_apart(match: re.Match[str], *_: str) -> str:
    worker = ".".join(re.findall(r"\d+", match[1])[:2])
    return (
        f"the executors have Python {worker} and the driver has {match[2]}: both need the same "
        f"minor version. {_SHIP}"
    )


def _no_scheme(match: re.Match[str], *_: str) -> str:
    scheme = match[1]
    if scheme not in ("s3", "s3n", "s3a"):
        return f"Spark has no file system for {scheme}:// here: add the jars of that file system"
    change = "" if scheme == "s3a" else f" Write s3a:// for {scheme}://, which only EMR knows."
    return (
        f"Spark has no file system for {scheme}:// here.{change} "
        f"{_HADOOP_AWS.format(version=hadoop_version())}"
    )


CLUSTER_FAILURES: tuple[Known, ...] = (
    known(
        r"No space left on device",
        lambda *_: "a disk of Spark is full: free some space, or name another in spark.local.dir",
        of_source=False,
    ),
    known(
        r"^(?:\w+\.)*ModuleNotFoundError: No module named '([\w.]+)'",
        _missing_module,
        of_source=False,
    ),
    known(
        r"Cannot run program \"([^\"\n]+)\"[^\n]*(?:error=2\b|No such file)",
        lambda match, *_: f"the executors have no Python at {match[1]}. {_SHIP}",
        of_source=False,
    ),
    known(
        r"Python in worker has different version:? (\([\d, ]+\)|[\d.]+) than that in driver:? "
        r"(\d+\.\d+)",
        _versions_apart,
        of_source=False,
    ),
    known(
        r"spark\.driver\.maxResultSize",
        lambda *_: "the results of all tasks are too large: raise spark.driver.maxResultSize",
        of_source=False,
    ),
    known(
        r"spark\.rpc\.message\.maxSize",
        lambda *_: "a task is too large to be sent: raise spark.rpc.message.maxSize",
        of_source=False,
    ),
    known(
        r"spark\.kryoserializer\.buffer\.max|Kryo serialization failed: Buffer overflow",
        lambda *_: (
            "a value is too large for Spark's serializer: raise spark.kryoserializer.buffer.max"
        ),
        of_source=False,
    ),
    known(
        r"OutOfMemoryError|ExecutorLostFailure|exit code:? 137|killed by YARN|for exceeding memory "
        r"limits|Python worker exited unexpectedly|^(?:\w+\.)*MemoryError\b|ArrowMemoryError"
        r"|FetchFailed(?:Exception)?\b|MetadataFetchFailed",
        lambda *_: (
            "Spark lost a process, most likely because it needed more memory: raise "
            "spark.executor.memory, spark.executor.memoryOverhead or spark.driver.memory, and run "
            "the same command again"
        ),
        of_source=False,
    ),
    known(
        r"Class org\.apache\.hadoop\.fs\.s3a\.\w+ not found",
        lambda *_: (
            "Spark has no file system for s3a:// here. "
            + _HADOOP_AWS.format(version=hadoop_version())
        ),
    ),
    known(r"No FileSystem for scheme:? \"?(\w+)", _no_scheme),
    known(
        r"NoAuthWithAWS|NoAwsCredentials|Unable to load (?:AWS )?credentials from",
        lambda *_: (
            "Spark has no credentials for S3. It does not use those of boto3: it needs the role of "
            "the machines, AWS_* variables of driver and executors, or spark.hadoop.fs.s3a.*"
        ),
    ),
    known(
        r"UnknownStoreException|\bNoSuchBucket\b",
        lambda *_: "the bucket does not exist: correct its name, its Region or its endpoint",
    ),
)
