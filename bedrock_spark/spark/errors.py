"""Say in one line what Spark could not do: which file, why, and what to do.

Spark reports a damaged file as an exception of the JVM with its causes, hundreds of lines of stack
traces, and often the row's values. Here the chain of causes becomes one sentence. It shows no
row's value: the text of an unknown error is shown only if its class is known to hold none. The
whole exception is the cause of ours. An error of this package that ended a task is raised again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from py4j.protocol import Py4JError, Py4JNetworkError
from pyspark.errors import PySparkException

from bedrock_spark import errors
from bedrock_spark.errors import (
    BedrockSparkError,
    ConfigError,
    InvokeRefusedError,
    SourceError,
    SparkFailedError,
    StorageAccessError,
)
from bedrock_spark.spark.cluster_failures import CLUSTER_FAILURES
from bedrock_spark.spark.source_failures import SOURCE_FAILURES

# What PySpark raises: errors that it knows, and any other exception of the JVM.
SPARK_ERRORS = (PySparkException, Py4JError)

_KNOWN = (*CLUSTER_FAILURES, *SOURCE_FAILURES)
_MOST_CAUSES = 20
_WRAPPERS = ("Job aborted due to stage failure", "Exception thrown in awaitResult")
# Java classes whose messages name files, hosts, classes and permissions, and no row's value. A
# BatchUpdateException quotes the INSERT with its values.
_SAFE = re.compile(
    r"java\.(io|net|nio|sql)\.(?!BatchUpdate)|java\.lang\.(ClassNotFound|NoClassDef|NoSuchMethod|Incompatible)|"
    r"org\.apache\.hadoop\.|software\.amazon\.|com\.amazon|org\.postgresql\.|.*SQLException$"
)
# Python classes of errors in a query or an option: nothing was read, so no value can be shown.
_BEFORE_READING = ("AnalysisException", "ParseException", "IllegalArgumentException")
# SQLSTATEs of errors about names, options and features, not about values (Spark's
# error-conditions.json): 22 is for values, 38 for Python functions, P0001 for raise_error.
_SAFE_STATES = ("0A", "42", "46", "56")
_CODE = re.compile(r"^\[([A-Z0-9_.]+)\]")
_SQLSTATE = re.compile(r"\.?\s*SQLSTATE: \w+;?")
_FILE = re.compile(
    r"(?:reading file|in file|footer for file|File|Path does not exist:)[: ]+"
    r"(?P<a>(?:\w+:/|/)\S+?)[.,;]*(?=\s|$)|(?P<b>\S+) is not a Parquet file"
)
_OWN = re.compile(
    r"^bedrock_spark\.errors\.(\w+): (.*?)(?=\n\n|\n\s*at | SQLSTATE: |\Z)", re.M | re.S
)
# A task adds this line to its error: the unit, such as a shard, that it was at work on.
_UNIT_NOTE = "bedrock_spark was at work on "
_UNIT = re.compile(rf"^{_UNIT_NOTE}([^\n]+)$", re.M)
# The host of the executor whose task failed last. In local mode it is the driver.
_HOST = re.compile(r"Lost task \S+ in stage \S+ \(TID \d+\) \((\S+) executor (?!driver)\S+\)")
_EXECUTOR_ACCESS = (
    ". That was on an executor, which does not have the driver's AWS_* variables: give the "
    "machines a role, or set spark.executorEnv.AWS_ACCESS_KEY_ID and the others"
)
_PYTHON_TYPE = re.compile(r"^([A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt))\b", re.M)


@dataclass(frozen=True)
class Link:
    """One exception in a chain: its class in the JVM or in Python, its message, its SQLSTATE."""

    kind: str
    message: str
    state: str = ""

    @property
    def is_safe(self) -> bool:
        """Tell whether the message is known to hold no row's value."""
        return self.state.startswith(_SAFE_STATES) or bool(_SAFE.match(self.kind))


@dataclass(frozen=True)
class Failure:
    """Why Spark failed, in one line.

    of_source: whether the source is at fault (True), or the cluster or a task (False); None if
        that is not known
    """

    text: str
    of_source: bool | None = True


@contextmanager
def stage_errors(stage: str | Callable[[], str]) -> Iterator[None]:
    """Turn Spark's errors in a stage into a SparkFailedError, or into the error of its task.

    stage: its name, or what returns the name when there is an error
    """
    try:
        yield
    except SPARK_ERRORS as exc:
        own = own_error(exc)
        if own is not None:
            raise own from exc
        name = stage if isinstance(stage, str) else stage()
        raise SparkFailedError(f"{name}{_at(exc)}: {explain(exc).text}") from exc


@contextmanager
def source_errors(
    place: str, hide: Callable[[str], str] = str, *, is_secret: bool = False
) -> Iterator[None]:
    """Turn Spark's errors while the source is read into a SourceError, or as `stage_errors` does.

    place: the source as the config names it
    hide: replaces the secrets of the config in a message; is_secret: there are some, so the error
        has no cause, which would show them
    """
    try:
        yield
    except SPARK_ERRORS as exc:
        cause = None if is_secret else exc
        own, failure = own_error(exc), explain(exc)
        if own is not None:
            raise own from cause
        kind = SourceError if failure.of_source else SparkFailedError
        where = f"prepare{_at(exc)}" if failure.of_source is False else place
        raise kind(hide(f"{where}: {failure.text}")) from cause


@contextmanager
def config_errors(key: str) -> Iterator[None]:
    """Turn Spark's errors into a ConfigError: the config's key, and why Spark failed."""
    try:
        yield
    except SPARK_ERRORS as exc:
        raise ConfigError(f"{key}: {explain(exc).text}") from exc


@contextmanager
def noted_unit(name: str) -> Iterator[None]:
    """Add the unit that a task is at work on to its error, as the last line of its traceback."""
    try:
        yield
    except Exception as exc:
        exc.add_note(f"{_UNIT_NOTE}{name}")
        raise


def own_error(exc: BaseException) -> BedrockSparkError | None:
    """Return the error of this package that ended a task, as a new one; None if there is none.

    Its message names the unit, such as a shard, that the task was at work on.
    """
    for link in chain_of(exc):
        match = _OWN.search(link.message)
        kind = getattr(errors, match[1], None) if match else None
        if match and isinstance(kind, type) and issubclass(kind, BedrockSparkError):
            said, unit = _UNIT.sub("", match[2]).strip(), _UNIT.search(match[2])
            name = unit[1] if unit else ""
            text = said if not name or name in said else f"{name}: {said}"
            is_access = issubclass(kind, (StorageAccessError, InvokeRefusedError))
            if is_access and _HOST.search(_whole_text(exc)):
                text = with_executor_advice(text)
            return kind(text)
    return None


def with_executor_advice(text: str) -> str:
    """Return the message of an access error of an executor, with the remedy for executors."""
    return f"{text.rstrip('.')}{_EXECUTOR_ACCESS}"


def _at(exc: BaseException) -> str:
    """Return the unit and the host of the task that failed, such as `, shard-1, on 10.0.0.7`."""
    text = _whole_text(exc)
    unit, host = _UNIT.search(text), _HOST.search(text)
    return (f", {unit[1]}" if unit else "") + (f", on {host[1]}" if host else "")


def _whole_text(exc: BaseException) -> str:
    return "\n".join(link.message for link in _all_links(exc))


def explain(exc: BaseException) -> Failure:
    """Return why Spark failed."""
    if isinstance(exc, Py4JNetworkError):
        return Failure("Spark's Java process has ended; run the same command again", False)
    links = chain_of(exc)
    text = "\n".join(f"{link.kind}: {link.message}" for link in links)
    file = _file_in(text)
    for known in _KNOWN:
        match = known.pattern.search(text)
        if match:
            return Failure(known.describe(match, file or "a file", text), known.of_source)
    return _unknown(exc, links, file)


def chain_of(exc: BaseException) -> list[Link]:
    """Return an exception of Spark and its causes, the outermost first, without mere wrappers."""
    links = _all_links(exc)
    inner = [link for link in links if not link.message.startswith(_WRAPPERS)]
    return inner or links


def _all_links(exc: BaseException) -> list[Link]:
    java = getattr(exc, "java_exception", None) or getattr(exc, "_origin", None)
    links = list(_java_chain(java)) if java is not None else []
    if not links:
        links = [Link(type(exc).__name__, str(exc))]
    return links


def _java_chain(java: Any) -> Iterator[Link]:
    for _ in range(_MOST_CAUSES):
        if java is None:
            return
        yield Link(str(java.getClass().getName()), str(java.getMessage() or ""), _state_of(java))
        java = java.getCause()


def _state_of(java: Any) -> str:
    try:
        return str(java.getSqlState() or "")
    except (Py4JError, AttributeError, TypeError):
        return ""  # it is not an error of Spark's own


def _file_in(text: str) -> str | None:
    match = _FILE.search(text)
    if match is None:
        return None
    path = match["a"] or match["b"]
    return f"the file {re.sub(r'^file:/+', '/', path)}"


def _unknown(exc: BaseException, links: list[Link], file: str | None) -> Failure:
    """Return the reason of an error that is in no table, without what may be a row's value."""
    if type(exc).__name__ in _BEFORE_READING:
        first = _first_line(links[0].message)
        return Failure(first if _CODE.match(first) else f"{type(exc).__name__}: {first}")
    if any("PythonException" in link.kind for link in links):
        types = _PYTHON_TYPE.findall(links[0].message)
        name = f" with {types[-1]}" if types else ""
        return Failure(
            f"a Python function failed{name}; the cause of this error, or --verbose, has its "
            "traceback",
            of_source=False,
        )
    root = links[-1]
    said = next((link for link in links[::-1] if link.is_safe and not file), None)
    if said is not None or root.is_safe:
        said = said or root
        name = "" if said.state else f"{said.kind.rsplit('.', 1)[-1]}: "
        at = f"{file} cannot be read: " if file else ""
        return Failure(f"{at}{name}{_first_line(said.message)}")
    code = next((m[1] for m in (_CODE.match(link.message) for link in links[::-1]) if m), None)
    reason = code or root.kind.rsplit(".", 1)[-1]
    return Failure(
        f"{file} cannot be read: {reason}" if file else f"Spark failed with {reason}",
        of_source=True if file is not None or code is not None else None,
    )


def _first_line(message: str) -> str:
    return _SQLSTATE.sub("", message.strip().split("\n")[0]).strip()
