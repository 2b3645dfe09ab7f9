"""Replace published results without losing the old ones to a write that fails.

Delta Lake and Iceberg replace a table in one commit. Spark deletes the files of any other format
before it writes new ones: a full disk then leaves neither. So here the new results are written
aside and counted, and only then take the place of the old ones:

- A folder on a local disk or in HDFS: two renames. Between them, for a moment, nothing is there.
- A table of files: two renames, too, if the catalog can rename tables.
- A folder in an object store, which has no renames, or one beside which nothing may be written: the
  new files are written beside the old ones in the same folder, and the old ones deleted last. Until
  then readers see both.

A process that is killed leaves the old results in place or aside. `restore` puts them back, in the
next process that publishes to the place.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from bedrock_spark.config import ResultsConfig
from bedrock_spark.config.places import names_of_table
from bedrock_spark.errors import PublishError
from bedrock_spark.schema import quote_name
from bedrock_spark.spark.destination import has_mark
from bedrock_spark.spark.folder import OWN_PREFIX, Folder, open_folder

# Formats that are files and no more. Others have a way of their own to replace what is there.
_FILES = ("parquet", "orc", "json", "avro", "csv", "text", "xml")
# Formats that tell the number of their rows without reading them.
_COUNTED = ("parquet", "orc")
# Hadoop's file systems that rename a folder in one step.
_RENAMING = ("file", "hdfs", "viewfs")
_DELETIONS_AT_ONCE = 16
# The name of the session's own catalog.
SESSION_CATALOG = "spark_catalog"

log = logging.getLogger(__name__)

# Writes the results to a path or a table, in a mode of Spark.
Write = Callable[[str, str], None]


class _Swap(Protocol):
    """Where results are, and two places beside it: for the new ones, and for the old ones."""

    name: str
    new: str
    old: str

    def exists(self, name: str) -> bool: ...
    def is_marked(self, name: str) -> bool: ...
    def rename(self, name: str, to: str) -> None: ...
    def delete(self, name: str) -> None: ...
    def count(self, name: str) -> int | None: ...


def restore(spark: SparkSession, config: ResultsConfig) -> None:
    """Put old results back that a killed process left aside, or delete them if new ones are there.

    Does nothing over Spark Connect, which can rename no folder.
    """
    swap = _swap_of(spark, config, "")
    if swap is None or not swap.exists(swap.old):
        return
    if not swap.exists(swap.name):
        log.warning("%s: a publishing was interrupted; the old results are put back", swap.name)
        swap.rename(swap.old, swap.name)
    elif swap.is_marked(swap.name):
        swap.delete(swap.old)


def replace(
    spark: SparkSession,
    config: ResultsConfig,
    write: Write,
    rows: int,
    run_id: str,
    mark: Callable[[str], bool],
) -> bool:
    """Write results of `rows` rows to the place of the config; tell whether it was marked.

    write: writes them to a place, in a mode
    mark: marks a place as written by this package; tells whether it could
    Raises PublishError if the rows that were written are not as many; then the old results stay.
    """
    swap = _swap_of(spark, config, run_id)
    place = config.place or ""
    if swap is None:
        write(place, "overwrite")
        return mark(place)
    if isinstance(swap, _FolderSwap) and not swap.can_rename():
        _replace_file_by_file(swap.folder(swap.name), write, place, rows)
        return mark(place)
    swap.delete(swap.new)
    try:
        write(swap.new, "errorifexists")
        _check(swap, rows)
        is_marked = mark(swap.new)
        had_old = swap.exists(swap.name)
        if had_old and not _moved_aside(swap):
            _replace_in_place(swap, write, place, rows)
            return mark(place)
        _move_in(swap)
    finally:
        swap.delete(swap.new)
    if had_old:
        swap.delete(swap.old)
    return is_marked


def _moved_aside(swap: _Swap) -> bool:
    """Move the old results aside; tell whether that was possible. If not, they are where they were.

    A catalog may know no renames, and a file system may forbid that of a folder.
    """
    try:
        swap.rename(swap.name, swap.old)
    except (PySparkException, Py4JError) as exc:
        if not swap.exists(swap.name):
            raise
        log.info("%s: cannot be renamed: %s", swap.name, str(exc).split("\n")[0])
        return False
    return True


def _move_in(swap: _Swap) -> None:
    """Move the new results in; if that fails, move the old ones back."""
    try:
        swap.rename(swap.new, swap.name)
    except BaseException:
        if swap.exists(swap.old) and not swap.exists(swap.name):
            swap.rename(swap.old, swap.name)
        raise


def _replace_in_place(swap: _Swap, write: Write, place: str, rows: int) -> None:
    if isinstance(swap, _FolderSwap):
        swap.delete(swap.new)
        _replace_file_by_file(swap.folder(swap.name), write, place, rows)
    else:
        # The new table is there, so it can be written. What Spark deletes first is lost if this
        # write fails all the same.
        write(place, "overwrite")


def _replace_file_by_file(folder: Folder, write: Write, place: str, rows: int) -> None:
    before = set(folder.files())
    write(place, "append")
    if rows and not set(folder.files()) - before:
        raise PublishError(f"{place}: no file was written; the old results are unchanged")
    with ThreadPoolExecutor(_DELETIONS_AT_ONCE) as pool:
        list(pool.map(folder.delete_file, sorted(before)))


def _check(swap: _Swap, rows: int) -> None:
    found = swap.count(swap.new)
    if found is not None and found != rows:
        raise PublishError(
            f"{swap.name}: {found:,} of {rows:,} rows were written; the old results are unchanged"
        )


def _swap_of(spark: SparkSession, config: ResultsConfig, run_id: str) -> _Swap | None:
    if config.format.lower() not in _FILES:
        return None
    if config.table is not None:
        is_here = is_in_session(spark, config.table)
        return _TableSwap(spark, config.table, run_id) if is_here else None
    folder = open_folder(spark, config.path or "")
    return _FolderSwap(spark, folder, config, run_id) if folder is not None else None


def is_in_session(spark: SparkSession, table: str) -> bool:
    """Tell whether a table is in the session's own catalog: others replace tables in one commit."""
    names = names_of_table(table)
    catalog = names[0] if len(names) > 2 else spark.catalog.currentCatalog()
    return catalog == SESSION_CATALOG


class _FolderSwap:
    """A folder of files. The names beside it begin with an underscore: Spark's readers skip them.

    The new results are below a name of the run: two runs that publish to one place at once do not
    mix their files. The old ones have one name, so that any run finds them.
    """

    def __init__(
        self, spark: SparkSession, folder: Folder, config: ResultsConfig, run_id: str
    ) -> None:
        self.name = config.path or ""
        self.new = folder.beside(f"{OWN_PREFIX}_new_{folder.base_name}_{_digest(run_id)}")
        self.old = folder.beside(f"{OWN_PREFIX}_old_{folder.base_name}")
        self._spark, self._folder = spark, folder
        self._format = config.format.lower()

    def folder(self, name: str) -> Folder:
        return Folder(self._spark, name)

    def can_rename(self) -> bool:
        """Tell whether the folder can be renamed, and another one written beside it."""
        if self._folder.scheme not in _RENAMING or not self._folder.base_name:
            return False
        if self._folder.scheme == "file" and os.path.ismount(self._folder.local_path):
            return False
        try:
            return self.folder(self.new).make()
        except Py4JError:
            return False

    def exists(self, name: str) -> bool:
        folder = self.folder(name)
        # An empty folder is no results. Whoever waits for some may have made it.
        return folder.exists() and not folder.delete_if_empty()

    def is_marked(self, name: str) -> bool:
        return has_mark(self._spark, name, is_table=False)

    def rename(self, name: str, to: str) -> None:
        self.folder(name).rename(to)

    def delete(self, name: str) -> None:
        self.folder(name).delete()

    def count(self, name: str) -> int | None:
        if self._format not in _COUNTED:
            return None
        return self._spark.read.format(self._format).load(name).count()


class _TableSwap:
    """A table whose data are files.

    The name of the new one is random: a task that still runs when its write has failed may leave
    files in its folder, and Spark makes no table in a folder with files.
    """

    def __init__(self, spark: SparkSession, table: str, run_id: str) -> None:
        *prefix, name = names_of_table(table)
        self._spark, self._database = spark, ".".join(map(quote_name, prefix))
        self._new_name = f"{name}_bedrock_spark_new_{_digest(run_id)}_"
        self.name = _table(prefix, name)
        self.new = _table(prefix, f"{self._new_name}{secrets.token_hex(4)}")
        self.old = _table(prefix, f"{name}_bedrock_spark_old")

    def exists(self, name: str) -> bool:
        return self._spark.catalog.tableExists(name)

    def is_marked(self, name: str) -> bool:
        return has_mark(self._spark, name, is_table=True)

    def rename(self, name: str, to: str) -> None:
        self._spark.sql(f"ALTER TABLE {name} RENAME TO {to}")

    def delete(self, name: str) -> None:
        self._spark.sql(f"DROP TABLE IF EXISTS {name}")
        if name == self.new:
            for left in self._left_new():
                self._spark.sql(f"DROP TABLE IF EXISTS {left}")

    def _left_new(self) -> list[str]:
        """Return the new tables that killed processes of the same run have left."""
        where = f" IN {self._database}" if self._database else ""
        pattern = self._new_name.replace("'", "\\'")
        rows = self._spark.sql(f"SHOW TABLES{where} LIKE '{pattern}*'").collect()
        prefix = f"{self._database}." if self._database else ""
        return [prefix + quote_name(row["tableName"]) for row in rows]

    def count(self, name: str) -> int | None:
        return self._spark.table(name).count()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _table(prefix: list[str], name: str) -> str:
    return ".".join(map(quote_name, [*prefix, name]))
