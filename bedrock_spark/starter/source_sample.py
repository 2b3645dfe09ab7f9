"""The first rows of a source, and what they say: which columns are a key, and which to ask about.

Files are read by Arrow, without Spark, here and in S3; any other source is read by Spark.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedrock_spark.aws.clients import AwsSettings, region_here
from bedrock_spark.config import SourceConfig
from bedrock_spark.config.row_choice import MOST_SAMPLED
from bedrock_spark.errors import ConfigError, SourceError
from bedrock_spark.families.request_body import check_columns

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

log = logging.getLogger(__name__)

ROWS = 1000
# The options of Spark with which a CSV file is tried, the usual ones first.
_CSV_OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"escape": '"'},
    {"multiLine": True},
    {"multiLine": True, "escape": '"'},
)
_BY_ARROW = ("csv", "json", "parquet", "orc")
_MOST_TRIED = 12  # columns that are tried together as a key
# What Arrow says of a text file without the text itself.
_FACTS = re.compile(
    r"Row #\d+: Expected \d+ columns, got \d+"
    r"|JSON parse error: [^\n]* in row \d+"
    r"|Empty (?:CSV|JSON) file"
)


@dataclass(frozen=True)
class SampledColumn:
    """A column of the first rows. length: the mean number of characters or bytes of a value.

    is_text, is_bytes: what its values are; any other type is neither
    names_objects: whether every value is the URI of an object in S3
    is_float, is_nested: whether a value is one, which is no part of a key
    """

    name: str
    is_text: bool
    is_bytes: bool
    length: float
    names_objects: bool
    is_float: bool
    is_nested: bool


@dataclass(frozen=True)
class SourceSample:
    """The first rows of a source.

    rows: the values of each, in the order of `columns`
    """

    columns: tuple[SampledColumn, ...]
    rows: Sequence[Sequence[Any]]

    @property
    def names(self) -> list[str]:
        """Return the names of the columns."""
        return [column.name for column in self.columns]

    def csv_options(self) -> dict[str, Any]:
        """Return the options by which Spark reads these texts from CSV, as Arrow has read them.

        By default, Spark ends a row at each line break, and takes a doubled quotation mark for two.
        """
        texts = [value for row in self.rows for value in row if isinstance(value, str)]
        options: dict[str, Any] = {}
        if any("\n" in text for text in texts):
            options["multiLine"] = True
        # Arrow leaves a backslash in front of a mark: then that is how this file escapes marks.
        if any('"' in text for text in texts) and not any('\\"' in text for text in texts):
            options["escape"] = '"'
        return options

    def is_unique(self, key: Sequence[str]) -> bool:
        """Tell whether no two rows have the same values in these columns, and none has no value."""
        places = [self.names.index(name) for name in key]
        values = [tuple(row[i] for i in places) for row in self.rows]
        texts = {tuple(map(str, each)) for each in values}
        return len(texts) == len(values) and all(v is not None for each in values for v in each)

    def proposed_key(self) -> tuple[str, ...]:
        """Return columns that are unique in the first rows: one, or two; () if none are."""
        usable = [c for c in self.columns if not (c.is_bytes or c.is_float or c.is_nested)]
        names = [c.name for c in sorted(usable, key=_rank_as_key)][:_MOST_TRIED]
        singles: Iterable[tuple[str, ...]] = ((name,) for name in names)
        pairs = itertools.combinations(names, 2)
        found = next(filter(self.is_unique, itertools.chain(singles, pairs)), ())
        return tuple(sorted(found, key=self.names.index))

    def proposed_column(self, *, has_images: bool, key: Sequence[str]) -> str | None:
        """Return the column to ask about: the longest text, or the one of images."""
        if has_images:
            fits = [c for c in self.columns if c.is_bytes or c.names_objects]
        else:
            fits = [c for c in self.columns if c.is_text and c.name not in key]
            fits = fits or [c for c in self.columns if c.is_text]
        return max(fits, key=lambda column: column.length).name if fits else None


def _rank_as_key(column: SampledColumn) -> tuple[int, float]:
    """Rank columns that are called a key first, and then short ones."""
    name = column.name.lower()
    if name in ("id", "key", "uuid") or name.endswith(("_id", "id", "_key", "_no")):
        return 0, column.length
    return 1, column.length


def check_key(sample: SourceSample, key: Sequence[str]) -> None:
    """Raise ConfigError for a key that the source does not have, or that repeats."""
    check_columns(key, sample.names, "--key")
    if not sample.is_unique(key):
        named = sample.proposed_key()
        hint = f"; unique there: {', '.join(named)}" if named else "; leave it out"
        raise ConfigError(
            f"--key: {', '.join(key)} is null or repeats in the first {len(sample.rows):,} "
            f"rows{hint}"
        )


def sample_source(
    source: SourceConfig,
    spark: Callable[[], SparkSession],
    aws: AwsSettings | None = None,
    rows: int = ROWS,
) -> SourceSample:
    """Return the first rows of a source. Raises SourceError, StorageError and ConfigError.

    spark: returns a session; it is only called if Arrow does not read the source
    aws: how S3 is read; None for the Region and the endpoint of the environment
    """
    path = source.path
    is_here = path is not None and "://" not in path and not any(c in path for c in "*?[{")
    if is_here and source.format in _BY_ARROW:
        return _by_arrow(source, rows)
    found = _by_preview(source, aws or AwsSettings(region_here()), rows)
    if found is not None:
        return found
    from bedrock_spark.spark.prepare.first_rows import read_sample

    names, values = read_sample(spark(), source, rows)
    return _sampled(names, values)


def _by_preview(source: SourceConfig, aws: AwsSettings, rows: int) -> SourceSample | None:
    """Return the first rows as `preview` reads them; None if only Spark reads them as a run does.

    Of a CSV file it tries the options by which Spark reads quotation marks and line breaks.
    """
    from bedrock_spark.spark.by_arrow.needs_spark import NeedsSparkError

    tries = _CSV_OPTIONS if source.format == "csv" else ({},)
    for more in tries:
        options = {**more, **source.options}
        try:
            return _first_rows(source.model_copy(update={"options": options}), aws, rows)
        except NeedsSparkError as exc:
            log.info("%s: Spark reads it: %s", source.path, exc)
    return None


def _first_rows(source: SourceConfig, aws: AwsSettings, rows: int) -> SourceSample:
    """Return the first rows by Arrow. Texts and bytes are cut to their beginning."""
    from bedrock_spark.spark.by_arrow.file_rows import first_batches
    from bedrock_spark.spark.by_arrow.needs_spark import NeedsSparkError

    names: list[str] = []
    values: list[tuple[Any, ...]] = []
    for batch in first_batches(source, aws, rows):
        names = names or batch.schema.names
        if batch.schema.names != names:
            raise NeedsSparkError("not all rows have the same columns")
        columns = batch.slice(0, rows - len(values)).columns
        values += zip(*(map(_beginning, column.to_pylist()) for column in columns), strict=True)
    return _sampled(names, values)


def _beginning(value: Any) -> Any:
    return value[:MOST_SAMPLED] if isinstance(value, (str, bytes)) else value


def _by_arrow(source: SourceConfig, rows: int) -> SourceSample:
    import pyarrow as pa

    path = Path(str(source.path))
    if not path.exists():
        raise SourceError(f"--source {path}: does not exist")
    try:
        table = _head(path, str(source.format), rows)
        values = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    except (pa.ArrowException, OSError) as exc:
        # `from None`: the text of the cause may quote a row.
        raise SourceError(
            f"--source {path}: cannot be read as {source.format}{_reason(exc, source.format)}"
        ) from None
    return _sampled(table.column_names, values)


def _head(path: Path, form: str, rows: int) -> Any:
    """Return the first rows. All values of CSV are text, as Spark reads them."""
    import pyarrow as pa
    from pyarrow import csv
    from pyarrow import dataset as ds

    if form != "csv":
        return ds.dataset(str(path), format=form).head(rows)
    parse = csv.ParseOptions(newlines_in_values=True)
    names = ds.dataset(str(path), format=ds.CsvFileFormat(parse)).schema.names
    texts = csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
    )
    return ds.dataset(str(path), format=ds.CsvFileFormat(parse, convert_options=texts)).head(rows)


def _reason(exc: Exception, form: str | None) -> str:
    """Return why a file cannot be read, without values of its rows."""
    if form not in ("csv", "json"):
        return f": {str(exc).splitlines()[0]}"
    fact = _FACTS.search(str(exc))
    return f": {fact[0]}" if fact is not None else ""


def _sampled(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> SourceSample:
    if not rows:
        raise SourceError("--source: has no rows")
    columns = [_column(name, [row[i] for row in rows]) for i, name in enumerate(names)]
    return SourceSample(tuple(columns), rows)


def _column(name: str, values: Sequence[Any]) -> SampledColumn:
    known = [value for value in values if value is not None]
    lengths = [len(v if isinstance(v, (str, bytes, bytearray)) else str(v)) for v in known]
    is_text = bool(known) and all(isinstance(value, str) for value in known)
    return SampledColumn(
        name=name,
        is_text=is_text,
        is_bytes=bool(known) and all(isinstance(v, (bytes, bytearray)) for v in known),
        length=sum(lengths) / max(1, len(lengths)),
        names_objects=is_text and all(value.startswith("s3://") for value in known),
        is_float=any(isinstance(value, float) for value in known),
        is_nested=any(isinstance(value, (dict, list, tuple)) for value in known),
    )
