"""Which sources Arrow reads as Spark does."""

from __future__ import annotations

from collections.abc import Sequence

from bedrock_spark.config import SourceConfig
from bedrock_spark.config.formats import is_compressed

FORMATS = ("parquet", "csv", "json")
# Options of Spark's CSV reader that `csv_files.py` knows, in lower case.
_CSV_OPTIONS = ("header", "sep", "delimiter", "multiline", "escape", "quote")


class NeedsSparkError(Exception):
    """Only Spark reads these rows as a run does. The text says why, and shows no value of a row."""


def why_spark(source: SourceConfig, where: str | None = None) -> str | None:
    """Return why only Spark reads this source; None if Arrow may, as far as the config tells.

    where: a further condition of Spark SQL on the rows
    """
    path, form = source.path, (source.format or "").lower()
    if path is None:
        return "the source is no file: it is a table, a query or another run"
    if source.where is not None or where is not None:
        return "the rows are chosen by a condition in SQL"
    if form not in FORMATS:
        return f"the format is {form}"
    scheme = path.partition("://")[0] if "://" in path else ""
    if scheme not in ("", "s3", "s3a", "s3n"):
        return f"the path begins with {scheme}://"
    if any(character in path for character in "*?[{"):
        return "the path is a pattern"
    if is_compressed(path):
        return "the file is compressed"
    return _why_options(source, form)


def _why_options(source: SourceConfig, form: str) -> str | None:
    known = _CSV_OPTIONS if form == "csv" else ()
    options = {name.lower(): value for name, value in source.options.items()}
    other = next((name for name in options if name not in known), None)
    if other is not None:
        return f"source.options has {other}"
    if form != "csv":
        return None
    if not is_true(options.get("header")):
        return "the CSV file has no header"
    if options.get("quote", '"') != '"':
        return "source.options has another quote"
    if options.get("escape", "\\") not in ('"', "\\"):
        return "source.options has another escape"
    separator = options.get("sep", options.get("delimiter", ","))
    if not isinstance(separator, str) or len(separator) != 1 or not separator.isascii():
        return "source.options has another sep"
    if separator in '"\\\n\r\0':
        return "source.options has another sep"
    return None


def refuse_names(names: Sequence[str]) -> None:
    """Raise NeedsSparkError for names of columns that Spark changes, refuses or means otherwise.

    It numbers columns of a CSV file whose names are empty or repeat, if case is ignored, and has
    records that it cannot read in a column of its own.
    """
    lowered = [name.lower() for name in names]
    if len(set(lowered)) < len(lowered):
        raise NeedsSparkError("two columns have one name, if case is ignored")
    if any(not name.strip() for name in names):
        raise NeedsSparkError("a column has no name")
    if "_corrupt_record" in lowered:
        raise NeedsSparkError("the column _corrupt_record is Spark's own")


def is_true(value: object) -> bool:
    """Tell whether an option of Spark's readers is on."""
    return str(value).lower() == "true"
