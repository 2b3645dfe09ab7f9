"""Read rows of CSV by Arrow, if Spark would read the same values.

Spark and Arrow differ in odd quotes, escapes and line breaks. So the bytes are looked at first:
only records are handed to Arrow in which every quotation mark begins or ends a value, or is doubled
in one if the options say so.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from bedrock_spark.config import SourceConfig
from bedrock_spark.spark.by_arrow.needs_spark import NeedsSparkError, is_true, refuse_names
from bedrock_spark.storage.range_file import RangeFile

_BLOCK_BYTES = 1 << 20
# A record of more bytes is not waited for: a quotation mark that nothing closes begins one, too.
_MOST_RECORD_BYTES = 8 << 20
# A group that is repeated takes memory for each time.
_MANY, _RECORDS_AT_ONCE = rb"{0,100000}", rb"{0,1000}"
_BOM = b"\xef\xbb\xbf"
_ODD = "the CSV has quotation marks, backslashes or line breaks that only Spark reads as a run does"


def csv_batches(file: RangeFile, source: SourceConfig) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a CSV file, all values as text. Raises NeedsSparkError."""
    options = {name.lower(): value for name, value in source.options.items()}
    separator = str(options.get("sep", options.get("delimiter", ",")))
    takes_breaks = is_true(options.get("multiline"))
    has_crlf = takes_breaks and _has_crlf(file)
    records = _records(
        separator,
        is_doubled=options.get("escape", "\\") == '"',
        takes_breaks=takes_breaks,
        has_crlf=has_crlf,
    )
    names: list[str] | None = None
    for part in _parts(file, records, b"\r\n" if has_crlf else b"\n"):
        if names is None:
            part = part.removeprefix(_BOM).lstrip(b"\r\n")
            if not part:
                continue
        table = _parsed(part, separator, names)
        if names is None:
            names = table.column_names
            refuse_names(names)
        _refuse_blank(table, separator)
        yield from table.to_batches()


def _has_crlf(file: RangeFile) -> bool:
    """Tell whether the first line ends in a carriage return and a line feed."""
    first = (file.read(_BLOCK_BYTES) or b"").partition(b"\n")[0]
    file.seek(0)
    return first.endswith(b"\r")


def _records(
    separator: str, *, is_doubled: bool, takes_breaks: bool, has_crlf: bool
) -> re.Pattern[bytes]:
    """Return what matches whole records that Spark and Arrow read alike, some at once.

    is_doubled: a doubled quotation mark in a value is one; takes_breaks: a value in quotation marks
        may hold line breaks, and then the first line of the file tells Spark how lines end
    has_crlf: the first line ends in a carriage return and a line feed
    """
    mark = re.escape(separator.encode())
    # A comment begins with a null in Spark.
    not_in_any = rb"\x00" if is_doubled else rb"\x00\\\\"
    not_in_quoted = not_in_any + (rb"\r" if takes_breaks else rb"\r\n")
    text = rb'[^"' + not_in_quoted + rb"]*+"
    quoted = rb'"' + text + (rb'(?:""' + text + rb")" + _MANY if is_doubled else rb"") + rb'"'
    bare = rb'[^"\r\n' + not_in_any + mark + rb"]*+"
    value = rb"(?:" + quoted + rb"|" + bare + rb")"
    end = rb"(?:\r\n?|\n)"
    if takes_breaks:
        end = rb"\r\n" if has_crlf else rb"\n"
    # Only sets of characters are repeated without a way back: of groups, Python 3.11.0 to 3.11.4
    # may do that wrong (https://github.com/python/cpython/issues/106052). What comes next tells how
    # a record goes on, so there is nothing to go back to.
    record = value + rb"(?:" + mark + value + rb")" + _MANY + end
    return re.compile(rb"(?:" + record + rb")" + _RECORDS_AT_ONCE)


def _parts(file: RangeFile, records: re.Pattern[bytes], end_of_line: bytes) -> Iterator[bytes]:
    """Yield the file as parts of whole records. Raises NeedsSparkError for a record that is odd."""
    held = b""
    while True:
        read = file.read(_BLOCK_BYTES) or b""
        held += read
        if not read and held and not held.endswith((b"\n", b"\r")):
            held += end_of_line
        end = _end_of(records, held)
        if end:
            yield held[:end]
        held = held[end:]
        if not read and not held:
            return
        if not read or len(held) > _MOST_RECORD_BYTES:
            raise NeedsSparkError(_ODD)


def _end_of(records: re.Pattern[bytes], data: bytes) -> int:
    """Return where the whole records at the beginning of some bytes end."""
    end = 0
    while (found := records.match(data, end)) is not None and found.end() > end:
        end = found.end()
    return end


def _parsed(part: bytes, separator: str, names: list[str] | None) -> pa.Table:
    """Return the rows of some records. names: of the columns; None if the first record has them."""
    parse = csv.ParseOptions(delimiter=separator, newlines_in_values=True)
    size = max(len(part) + 1, _BLOCK_BYTES)
    reading = csv.ReadOptions(block_size=size, use_threads=False, column_names=names)
    try:
        if names is None:
            names = csv.read_csv(io.BytesIO(part), reading, parse).column_names
        texts = csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,  # in Spark, an empty text is null, quoted or not
            null_values=[""],
        )
        return csv.read_csv(io.BytesIO(part), reading, parse, texts)
    except pa.ArrowException:
        # Its text may quote a row.
        raise NeedsSparkError("Arrow cannot parse the CSV") from None


def _refuse_blank(table: pa.Table, separator: str) -> None:
    """Raise NeedsSparkError for a record of white space alone, which Spark leaves out."""
    if table.num_columns > 1 and separator.strip():
        return
    is_blank = None
    for column in table.columns:
        own = pc.equal(pc.utf8_trim_whitespace(pc.fill_null(column, "")), "")
        is_blank = own if is_blank is None else pc.and_(is_blank, own)
    if is_blank is not None and pc.any(is_blank).as_py():
        raise NeedsSparkError("the CSV has lines of white space")
