"""Read a table of true values: small files without Spark, everything else with it."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import SourceConfig
from bedrock_spark.config.formats import format_of_path, is_compressed
from bedrock_spark.config.secrets import FromEnvironment
from bedrock_spark.errors import ConfigError
from bedrock_spark.pairs.plain_values import text_of
from bedrock_spark.storage import LocalStorage, Storage, open_storage

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Without Spark, all files are read into memory at once.
MOST_BYTES = 512 * 1024 * 1024
_PARQUET, _CSV, _JSON = "parquet", "csv", "json"
_SCHEMES = ("s3", "s3a", "s3n", "file")
_WRONG_ROW = re.compile(r"(Row #\d+: )?Expected \d+ columns, got \d+")
_LOGS = {"_delta_log/": "delta", "metadata/": "iceberg"}


@dataclass(frozen=True)
class Gold:
    """A table of true values.

    table: in memory; None if Spark must read it
    path, form: what Spark reads; without a path, `frame` or the table of the catalog `name`
    """

    table: pa.Table | None = None
    path: str | None = None
    form: str | None = None
    name: str | None = None
    frame: DataFrame | None = None

    @property
    def source(self) -> SourceConfig | None:
        """Return what Spark reads, as a config would say it; None if it need not read."""
        if self.path is not None:
            options: dict[str, str | FromEnvironment] = (
                {"header": "true"} if self.form == _CSV else {}
            )
            return SourceConfig(path=self.path, format=self.form, options=options)
        return None if self.name is None else SourceConfig(table=self.name)


def open_gold(given: Any, form: str | None, aws: AwsSettings) -> Gold:
    """Return a table of true values; it is read unless Spark is needed for that.

    given: a path of files, a folder of them, the name of a table of Spark's catalog, or an Arrow,
        pandas or Spark table
    form: the format of the files; None if their names tell it
    Raises ConfigError if there is nothing.
    """
    if isinstance(given, pa.Table):
        return Gold(given)
    if hasattr(given, "sparkSession"):
        return Gold(frame=given)
    if hasattr(given, "columns") and hasattr(given, "to_numpy"):
        return Gold(pa.Table.from_pandas(given, preserve_index=False))
    text = str(given)
    scheme, _, rest = text.partition("://")
    if rest and scheme not in _SCHEMES:  # such as hdfs: only Spark reads it
        found = form or format_of_path(text)
        return Gold(path=text, form=_known(found, text))
    storage, keys, sizes = _listing(text, aws)
    if not keys:
        if "/" in text or "\\" in text or format_of_path(text) is not None:
            raise ConfigError(f"--gold {text}: there is no such file or folder")
        return Gold(name=text)
    found = _known(form.lower() if form else _form_of(keys), text)
    has_partitions = any("=" in part for key in keys for part in key.split("/")[:-1])
    # What is compressed may be very large in memory.
    is_packed = found != _PARQUET and any(map(is_compressed, keys))
    is_plain = found in (_PARQUET, _CSV, _JSON) and not has_partitions and not is_packed
    if not is_plain or sum(sizes) > MOST_BYTES:
        return Gold(path=text, form=found)
    readers: dict[str, Callable[[bytes], pa.Table]] = {
        _PARQUET: lambda data: pq.read_table(io.BytesIO(data)),
        _CSV: _read_csv,
        _JSON: lambda data: pyarrow.json.read_json(io.BytesIO(data)),
    }
    try:
        tables = [readers[found](storage.read(key)) for key in keys]
        return Gold(pa.concat_tables(tables, promote_options="permissive"))
    except pa.ArrowException as exc:
        # PyArrow quotes the row: only what is wrong with it is said.
        wrong = _WRONG_ROW.search(str(exc))
        why = f": {wrong[0]}" if wrong is not None else ""
        raise ConfigError(f"--gold {text}: cannot be read as {found}{why}") from None


def _known(form: str | None, path: str) -> str:
    if form is None:
        raise ConfigError(f"--gold {path}: its format is not known; name it: --gold-format parquet")
    return form


def as_texts(table: pa.Table, columns: Sequence[str]) -> list[tuple[str | None, ...]]:
    """Return some columns as texts, row by row. A comparison takes them for the values."""
    arrays = [table.column(name) for name in columns]
    arrays = [a.cast(pa.string()) if pa.types.is_float32(a.type) else a for a in arrays]
    return [*zip(*([text_of(v) for v in array.to_pylist()] for array in arrays), strict=True)]


def _listing(path: str, aws: AwsSettings) -> tuple[Storage, list[str], list[int]]:
    """Return the files of a folder, or the one file, with their sizes."""
    whole = open_storage(path.rstrip("/"), aws)
    objects = [o for o in whole.list("") if o.size]
    if objects:
        log = next((log for log in _LOGS if any(o.key.startswith(log) for o in objects)), None)
        chosen = [o for o in objects if log is not None or not o.key.startswith(("_", "."))]
        return whole, [o.key for o in chosen], [o.size for o in chosen]
    parent, _, name = path.rstrip("/").rpartition("/")
    folder = open_storage(parent or ("/" if path.startswith("/") else "."), aws)
    sizes = [_size(folder, name)]
    return folder, [name for size in sizes if size is not None], [s for s in sizes if s is not None]


def _size(folder: Storage, name: str) -> int | None:
    """Return the bytes of a file; None if there is none."""
    if isinstance(folder, LocalStorage):  # a listing would walk all that is beside it
        path = folder.root / name
        return path.stat().st_size if path.is_file() else None
    return next((o.size for o in folder.list(name) if o.key == name), None)


def _form_of(keys: Sequence[str]) -> str | None:
    for log, form in _LOGS.items():
        if any(key.startswith(log) for key in keys):
            return form
    return next((f for f in map(format_of_path, keys) if f is not None), None)


def _read_csv(data: bytes) -> pa.Table:
    """Return a table of texts, as Spark reads CSV: `007` stays as it is, an empty cell is null."""
    names = pyarrow.csv.open_csv(io.BytesIO(data)).schema.names
    options = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    return pyarrow.csv.read_csv(
        io.BytesIO(data),
        convert_options=options,
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
    )
