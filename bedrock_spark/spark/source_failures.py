"""Failures of reading a source that have a sentence of their own."""

from __future__ import annotations

import re

from bedrock_spark.spark.known_failure import Known, known

_POSITION = re.compile(r"== SQL.*?\(line (\d+), position (\d+)\)")


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


SOURCE_FAILURES: tuple[Known, ...] = (
    known(
        r"MALFORMED_RECORD_IN_PARSING|MALFORMED_CSV_RECORD|Malformed records are detected",
        lambda _, file, __: (
            f"{file} has a malformed record, and mode: FAILFAST stops at the first "
            "one. Correct the file"
        ),
    ),
    known(
        r"FILE_NOT_EXIST|FileNotFoundException",
        lambda _, file, __: (
            f"{file} is not there any more: it was deleted or replaced while Spark "
            "read the source. Run the same command again"
        ),
    ),
    known(
        r"(?:COLUMN_DATA_TYPE_MISMATCH|Parquet column cannot be converted).*?[Cc]olumn:? "
        r"\[([^\]]*)\]\W+Expected(?: Spark type|:) (.+?), (?:actual Parquet type|Found:) (\w+)",
        _types_apart,
    ),
    known(r"CANNOT_MERGE_SCHEMAS|Failed merging schema", _schemas_apart),
    known(r'CAST_INVALID_INPUT.* of the type "([^"]*)" cannot be cast to "([^"]*)"', _cast),
    known(
        r"CANNOT_READ_FILE_FOOTER|is not a Parquet file|footer is too large|Could not read footer",
        lambda _, file, __: f"{file} is of another format, or its end is missing",
    ),
    known(
        r"CANNOT_PARSE_DATATYPE",
        lambda *_: (
            "it has a column of a type that PySpark cannot read, such as an interval of "
            "months and days or TIMESTAMP(9): cast the column, or select others, in source.sql"
        ),
    ),
    known(
        r"REQUIRES_SINGLE_PART_NAMESPACE\W.*?but got (?:identifier )?`?([^`.]+)`?\.",
        lambda match, *_: (
            f"the session has no catalog {match[1]}: set spark.sql.catalog.{match[1]}, or write "
            "database.table"
        ),
    ),
    known(
        r"SCHEMA_NOT_FOUND\W.*?schema (`[^ ]+`)|Database (\S+) not found"
        r"|Namespace does not exist: (\S+)",
        lambda match, *_: (
            f"the database {match[1] or match[2] or match[3]} does not exist: CREATE DATABASE it "
            "first, or name another"
        ),
    ),
    known(
        r"Unsupported format in USING: (\w+)",
        lambda match, *_: (
            f"the catalog holds tables of Iceberg, none of {match[1]}: write format: iceberg, or "
            "name a table of another catalog"
        ),
    ),
    known(
        r"UNABLE_TO_INFER_SCHEMA|Unable to infer schema",
        lambda *_: "there is no file of this format, or no file at all, so there are no columns",
    ),
)
