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
from bedrock_spark.errors import BedrockSparkError, ConfigError, SourceError, SparkFailedError

# What PySpark raises: errors that it knows, and any other exception of the JVM.
SPARK_ERRORS = (PySparkException, Py4JError)

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
_PYTHON_TYPE = re.compile(r"^([A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt))\b", re.M)
_POSITION = re.compile(r"== SQL.*?\(line (\d+), position (\d+)\)")


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

    of_source: whether the source is at fault, and not the cluster or a task
    """

    text: str
    of_source: bool = True


@dataclass(frozen=True)
class _Known:
    """A failure that has a sentence of its own.

    pattern: is searched in all classes and messages of the chain
    describe: makes the sentence of the match, the file (or "a file") and the whole text
    """

    pattern: re.Pattern[str]
    describe: Callable[[re.Match[str], str, str], str]
    of_source: bool = True


def _known(
    pattern: str, describe: Callable[[re.Match[str], str, str], str], *, of_source: bool = True
) -> _Known:
    return _Known(re.compile(pattern, re.S), describe, of_source)


def _cast(match: re.Match[str], _: str, text: str) -> str:
    at = _POSITION.search(text)
    place = f" at line {at[1]}, position {at[2]} of the query" if at else ""
    return (
        f"a value of the type {match[1]} cannot be cast to {match[2]}{place}. Correct the value, "
        "or use try_cast, which makes it null"
    )


def _types_apart(match: re.Match[str], file: str, _: str) -> str:
    return (
        f"the column {match[1]} of {file} is {match[3]}, and other files have {match[2]}: write "
        "them with one type, or cast the column in source.sql"
    )


def _schemas_apart(_: re.Match[str], __: str, text: str) -> str:
    types = re.search(r'incompatible data types "?(.+?)"? and "?([^"\n.]+)', text)
    detail = f": a column is {types[1]} in one and {types[2]} in another" if types else ""
    return f"the schemas of its files do not fit together{detail}"


_KNOWN = (
    _known(
        r"No space left on device",
        lambda *_: "a disk of Spark is full: free some space, or name another in spark.local.dir",
        of_source=False,
    ),
    _known(
        r"OutOfMemoryError|ExecutorLostFailure|exit code 137|killed by YARN",
        lambda *_: (
            "Spark lost a process, most likely because it needed more memory: raise "
            "spark.executor.memory, spark.executor.memoryOverhead or spark.driver.memory, and run "
            "the same command again"
        ),
        of_source=False,
    ),
    _known(
        r"MALFORMED_RECORD_IN_PARSING|MALFORMED_CSV_RECORD|Malformed records are detected",
        lambda _, file, __: (
            f"{file} has a malformed record, and mode: FAILFAST stops at the first "
            "one. Correct the file"
        ),
    ),
    _known(
        r"FILE_NOT_EXIST|FileNotFoundException",
        lambda _, file, __: (
            f"{file} is not there any more: it was deleted or replaced while Spark "
            "read the source. Run the same command again"
        ),
    ),
    _known(
        r"(?:COLUMN_DATA_TYPE_MISMATCH|Parquet column cannot be converted).*?[Cc]olumn:? "
        r"\[([^\]]*)\]\W+Expected(?: Spark type|:) (.+?), (?:actual Parquet type|Found:) (\w+)",
        _types_apart,
    ),
    _known(r"CANNOT_MERGE_SCHEMAS|Failed merging schema", _schemas_apart),
    _known(r'CAST_INVALID_INPUT.* of the type "([^"]*)" cannot be cast to "([^"]*)"', _cast),
    _known(
        r"CANNOT_READ_FILE_FOOTER|is not a Parquet file|footer is too large|Could not read footer",
        lambda _, file, __: f"{file} is of another format, or its end is missing",
    ),
    _known(
        r"CANNOT_PARSE_DATATYPE",
        lambda *_: (
            "it has a column of a type that PySpark cannot read, such as an interval of "
            "months and days or TIMESTAMP(9): cast the column, or select others, in source.sql"
        ),
    ),
    _known(
        r"REQUIRES_SINGLE_PART_NAMESPACE\W.*?but got `?([^`.]+)`?\.",
        lambda match, *_: (
            f"the session has no catalog {match[1]}: set spark.sql.catalog.{match[1]}, or write "
            "database.table"
        ),
    ),
    _known(
        r"SCHEMA_NOT_FOUND\W.*?schema (`[^ ]+`)|Database (\S+) not found"
        r"|Namespace does not exist: (\S+)",
        lambda match, *_: (
            f"the database {match[1] or match[2] or match[3]} does not exist: CREATE DATABASE it "
            "first, or name another"
        ),
    ),
    _known(
        r"Unsupported format in USING: (\w+)",
        lambda match, *_: (
            f"the catalog holds tables of Iceberg, none of {match[1]}: write format: iceberg, or "
            "name a table of another catalog"
        ),
    ),
    _known(
        r"UNABLE_TO_INFER_SCHEMA|Unable to infer schema",
        lambda *_: "there is no file of this format, or no file at all, so there are no columns",
    ),
)


@contextmanager
def stage_errors(stage: str) -> Iterator[None]:
    """Turn Spark's errors in a stage into a SparkFailedError, or into the error of its task."""
    try:
        yield
    except SPARK_ERRORS as exc:
        own = own_error(exc)
        if own is not None:
            raise own from exc
        raise SparkFailedError(f"{stage}: {explain(exc).text}") from exc


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
        raise kind(hide(f"{place}: {failure.text}")) from cause


@contextmanager
def config_errors(key: str) -> Iterator[None]:
    """Turn Spark's errors into a ConfigError: the config's key, and why Spark failed."""
    try:
        yield
    except SPARK_ERRORS as exc:
        raise ConfigError(f"{key}: {explain(exc).text}") from exc


def own_error(exc: BaseException) -> BedrockSparkError | None:
    """Return the error of this package that ended a task, as a new one; None if there is none."""
    for link in chain_of(exc):
        match = _OWN.search(link.message)
        kind = getattr(errors, match[1], None) if match else None
        if match and isinstance(kind, type) and issubclass(kind, BedrockSparkError):
            return kind(match[2].strip())
    return None


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
    """Return an exception of Spark and its causes, the outermost first."""
    java = getattr(exc, "java_exception", None) or getattr(exc, "_origin", None)
    links = list(_java_chain(java)) if java is not None else []
    if not links:
        links = [Link(type(exc).__name__, str(exc))]
    inner = [link for link in links if not link.message.startswith(_WRAPPERS)]
    return inner or links


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
        of_source=file is not None or code is not None,
    )


def _first_line(message: str) -> str:
    return _SQLSTATE.sub("", message.strip().split("\n")[0]).strip()
