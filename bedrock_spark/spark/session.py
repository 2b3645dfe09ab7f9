"""The Spark session of the command line: the one of spark-submit, or one of its own.

A session of its own gets what the config needs and this Spark has not: the connectors for S3, Delta
Lake and Iceberg. To a session of somebody else, and to one on a cluster, nothing is added: a config
runs there unchanged, with what is installed there.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedrock_spark.config import Config
from bedrock_spark.errors import ConfigError
from bedrock_spark.storage import scratch_folder

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from bedrock_spark.spark.local.java_process import JavaProcess

log = logging.getLogger(__name__)

# The application's name in Spark, if the user gives none.
_NAME = "bedrock-spark"
_LOG_CONFIG = "log4j2.properties"
_UNRESOLVED = ("unresolved dependency", "download failed")
# The session that this module started, if any.
_java: list[JavaProcess] = []


def spark_session(
    config: Config | None = None,
    say: Callable[[str], None] = lambda _: None,
    others: Sequence[Config] = (),
) -> SparkSession:
    """Return the session of this process, or start one.

    config: what the session is for; it decides which connectors are added
    others: further configs that the session is for, too: those of other stages
    say: is called with lines about what takes time
    Raises ConfigError if Spark or Java is missing, or a connector cannot be had.
    """
    try:
        from pyspark import SparkContext
        from pyspark.sql import SparkSession
    except ImportError as exc:
        raise ConfigError(
            'Spark is not installed here: pip install "bedrock-spark[spark]", or run this with the '
            'spark-submit of a cluster, which "$(bedrock-spark jobs-path)" is for'
        ) from exc
    _check_packages()
    from bedrock_spark.spark.errors import stage_errors

    builder = SparkSession.builder
    is_there = SparkContext._gateway is not None
    if is_there or (_is_submitted() and _has_name()):
        return builder.getOrCreate()
    builder = builder.appName(_NAME)
    if _is_submitted() or "SPARK_REMOTE" in os.environ:
        with stage_errors("spark"):
            return builder.getOrCreate()
    started = time.monotonic()
    say("spark     starting")
    session = _start(builder, [*([config] if config is not None else []), *others], say)
    say(f"spark     {session.version}, ready in {time.monotonic() - started:.1f} s")
    return session


def _check_packages() -> None:
    """Raise ConfigError if what Spark needs for Python's functions is not installed here."""
    missing = [name for name in ("pandas", "pyarrow") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"{' and '.join(missing)} is not installed here, and Spark needs it: "
            'pip install "bedrock-spark[cluster]", on the machines of the cluster, too'
        )


def mute_session() -> None:
    """Show nothing more of what Java prints: it logs each job that an interrupt ends."""
    for java in _java:
        java.mute()


def end_session() -> None:
    """End the Java process of a session that `spark_session` started, if it did."""
    while _java:
        _java.pop().end()


atexit.register(end_session)


def _start(builder: Any, configs: Sequence[Config], say: Callable[[str], None]) -> SparkSession:
    from pyspark.find_spark_home import _find_spark_home

    from bedrock_spark.spark.local.java_process import JavaNotStartedError, JavaProcess
    from bedrock_spark.spark.local.plan import plan_session

    is_quiet = not log.isEnabledFor(logging.INFO)
    logging.getLogger().addFilter(_is_news)
    logging.getLogger("py4j").setLevel(logging.CRITICAL + 1)
    _mute_queries()
    # Workers of a local run must use this interpreter. By default Spark starts the system's one.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    files = ExitStack()
    folder = files.enter_context(scratch_folder("session"))
    atexit.register(files.close)
    # Java reads a file, and this package may be in a zip.
    log_config = folder / _LOG_CONFIG
    log_config.write_bytes(resources.files(__package__).joinpath(_LOG_CONFIG).read_bytes())
    plan = plan_session(
        configs,
        os.environ,
        spark_home=Path(_find_spark_home()),
        folder=folder,
        java_options=(f"-Dlog4j2.configurationFile={log_config.as_uri()}",) if is_quiet else (),
    )
    for line in plan.fetches:
        say(f"spark     {line}")
    java = JavaProcess()
    _java.append(java)
    try:
        with _environment(plan.environment):
            java.start(plan.settings, is_quiet=is_quiet)
    except JavaNotStartedError as exc:
        raise _not_started(exc.lines) from exc
    with _handler_kept(signal.SIGINT):
        session: SparkSession = builder.getOrCreate()
    # It prints a stack trace when Java closes its connection first.
    accumulators: Any = session.sparkContext._accumulatorServer
    accumulators.handle_error = lambda *_: None
    java.show_output()
    return session


def _mute_queries() -> None:
    """Log no query that fails: PySpark 4 prints its whole text, and Java's stack, as JSON.

    The error that follows has one line.
    """
    if find_spec("pyspark.logger") is None:  # PySpark 3.5
        return
    from pyspark.logger import PySparkLogger

    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        # A logger of Python's own class would not take PySpark's calls.
        PySparkLogger.getLogger(name).disabled = True


def _is_news(record: logging.LogRecord) -> bool:
    """Tell whether to log this. If a call fails, py4j logs the stack, and raises an error too."""
    return not str(record.msg).endswith("while sending command.")


def _not_started(lines: list[str]) -> ConfigError:
    """Return the error for a Java process that ended. `lines` is what it printed."""
    missing = [line.strip(": \t") for line in lines if any(u in line for u in _UNRESOLVED)]
    if missing:
        return ConfigError(
            f"Spark could not fetch its packages: {'; '.join(missing[:3])}. They come from Maven "
            "Central: fetch them once where there is a network, or name a mirror in "
            "spark.jars.ivySettings"
        )
    said = next((line for line in lines if "Exception" in line or "rror" in line), None)
    return ConfigError(
        "Spark could not start its Java process: install Java 17 or newer and set JAVA_HOME"
        + (f". It says: {said.strip()}" if said is not None else "")
    )


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Set variables for the processes that start within the block."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _handler_kept(number: signal.Signals) -> Iterator[None]:
    """Keep the handler of a signal, which a new SparkContext replaces.

    Its own one calls Java from within the handler. We end Java anyway.
    """
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(number)
    try:
        yield
    finally:
        if is_main and before is not None:
            signal.signal(number, before)


def _has_name() -> bool:
    """Tell whether the user of spark-submit has named the application.

    If not, it is named after the program.
    """
    from pyspark import SparkConf, SparkContext

    SparkContext._ensure_initialized()  # else the configuration of spark-submit is not seen
    name = SparkConf().get("spark.app.name")
    return name is not None and name != Path(sys.argv[0]).name


def _is_submitted() -> bool:
    """Tell whether spark-submit started this process: then the JVM already runs."""
    return "PYSPARK_GATEWAY_PORT" in os.environ
