"""A folder of published results, as Spark's own file system sees it.

Spark writes through Hadoop's file systems, which have other credentials and other URIs than this
package's storage. So what Spark would overwrite is looked up there. Over Spark Connect there is no
JVM to ask: then only Spark's reader can look, and nothing can be marked or deleted.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from bedrock_spark.spark.tasks import classic_context

# Spark's readers ignore names that begin with an underscore or a dot.
OWN_PREFIX = "_bedrock_spark"
_EMPTY = "_SUCCESS"
# To tell what is there, it is enough to count up to this number.
MOST = 1_000


class Folder:
    """A folder in a file system of Hadoop (https://hadoop.apache.org/docs/stable/), on the JVM."""

    def __init__(self, spark: SparkSession, uri: str) -> None:
        context = classic_context(spark)
        self._jvm: Any = context._jvm
        self._path: Any = self._jvm.org.apache.hadoop.fs.Path(uri)
        self._gateway: Any = context._gateway
        self._configuration: Any = spark._jsparkSession.sessionState().newHadoopConf()
        self._system: Any = self._path.getFileSystem(self._configuration)

    def exists(self) -> bool:
        """Tell whether there is a file or folder."""
        return bool(self._system.exists(self._path))

    @property
    def uri(self) -> str:
        """Return its URI, with scheme and absolute path."""
        return str(self._qualified().toString())

    @property
    def scheme(self) -> str:
        """Return the scheme of its file system, such as `file` or `s3a`."""
        return str(self._qualified().toUri().getScheme())

    @property
    def local_path(self) -> str:
        """Return its path without a scheme."""
        return str(self._qualified().toUri().getPath())

    @property
    def base_name(self) -> str:
        """Return the last part of its path; empty for the root of a file system."""
        return str(self._qualified().getName())

    def make(self) -> bool:
        """Make the folder; tell whether it is there."""
        return bool(self._system.mkdirs(self._path))

    def rename(self, to: str) -> None:
        """Rename it. Py4JError is raised if there is something of the new name."""
        target = self._jvm.org.apache.hadoop.fs.Path(to)
        context = self._jvm.org.apache.hadoop.fs.FileContext.getFileContext(
            self._qualified().toUri(), self._configuration
        )
        # A rename by the file system itself would move it into a folder of that name.
        kind = getattr(self._jvm.org.apache.hadoop.fs, "Options$Rename")
        none = self._gateway.new_array(kind, 0)
        context.rename(self._qualified(), self._system.makeQualified(target), none)

    def files(self) -> Iterator[str]:
        """Yield the URI of every file in it, but for the package's own ones."""
        if not self.exists():
            return
        root = self.uri
        files = self._system.listFiles(self._path, True)
        while files.hasNext():
            uri = str(files.next().getPath().toString())
            if not _is_own(uri.removeprefix(root).strip("/")):
                yield uri

    def delete_file(self, uri: str) -> None:
        """Delete one file."""
        self._system.delete(self._jvm.org.apache.hadoop.fs.Path(uri), False)

    def _qualified(self) -> Any:
        return self._system.makeQualified(self._path)

    def count_files(self, most: int = MOST) -> int:
        """Return how many files are in it, at most `most`. The package's own ones do not count."""
        if not self.exists():
            return 0
        return sum(1 for _ in islice(self.files(), most))

    def has(self, name: str) -> bool:
        """Tell whether there is a file of this name directly in it."""
        return bool(self._system.exists(self._child(name)))

    def write(self, name: str, data: bytes) -> None:
        """Write a file directly in it, and replace an existing one."""
        stream = self._system.create(self._child(name), True)
        try:
            stream.write(bytearray(data))
        finally:
            stream.close()

    def beside(self, name: str) -> str:
        """Return the URI of a place with this name beside it, or inside it if nothing is above."""
        path = self._qualified()
        above = path.getParent() or path
        return str(self._jvm.org.apache.hadoop.fs.Path(above, name).toString())

    def delete_if_empty(self) -> bool:
        """Delete it unless something is in it; tell whether it was deleted."""
        if self.exists() and not len(self._system.listStatus(self._path)):
            return bool(self._system.delete(self._path, False))
        return False

    def delete(self) -> None:
        """Delete it with all that is in it. If it does not exist, this is no error."""
        self._system.delete(self._path, True)

    def _child(self, name: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(self._path, name)


def _is_own(name: str) -> bool:
    """Tell whether a file is the package's own or empty; `.x.crc` is Hadoop's checksum of x."""
    first = name.split("/")[0].removeprefix(".")
    return first.startswith(OWN_PREFIX) or first.removesuffix(".crc") == _EMPTY


def open_folder(spark: SparkSession, uri: str) -> Folder | None:
    """Open a folder, or return None over Spark Connect."""
    return Folder(spark, uri) if classic_context(spark) is not None else None


def count_files(spark: SparkSession, uri: str, most: int = MOST) -> int:
    """Return how many files are in a folder, at most `most`; 0 if there is none.

    Over Spark Connect a Spark action runs, and files that Spark's readers ignore do not count.
    """
    folder = open_folder(spark, uri)
    return folder.count_files(most) if folder is not None else count_readable(spark, uri, most)


def count_readable(spark: SparkSession, uri: str, most: int = MOST) -> int:
    """Count the files of a folder by Spark's reader, which lists them and reads none of them."""
    reader = spark.read.format("binaryFile").option("recursiveFileLookup", "true")
    try:
        return reader.load(uri).select("path").limit(most).count()
    except AnalysisException as exc:
        if "PATH_NOT_FOUND" in str(exc):
            return 0
        raise
