"""Where data is, and how two places relate: equal, one above the other, or apart.

A place is a folder, a file or a table of a catalog. One place has many spellings: `s3a://b/x/` is
`s3://b/x`, `file:///x` is `/x`, and `Tickets` is `spark_catalog.default.tickets`. Everything here
works on names alone. It looks at no storage and no catalog, and follows no symbolic links.
"""

from __future__ import annotations

import enum
import fnmatch
import re
from dataclasses import dataclass
from pathlib import Path

from bedrock_spark.s3_spelling import SCHEMES

_FILE, TABLE = "file", "table"
# A path without a scheme is local for this package. Hadoop resolves it in its default file system,
# which on a cluster may be another one, such as HDFS.
_PLAIN = ""
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?://([^/]*))?(.*)", re.DOTALL)
# A part of a table's name: in backticks, in which a backtick is doubled, or up to the next dot.
_NAME = re.compile(r"`((?:[^`]|``)*)`|([^.`]+)")
CATALOG, DATABASE = "spark_catalog", "default"


class Relation(enum.Enum):
    """How a place relates to another. Above: it contains the other. Below: the reverse."""

    EQUAL = "is"
    ABOVE = "is above"
    BELOW = "is below"
    APART = "is apart from"


@dataclass(frozen=True)
class Place:
    """A place in one form.

    scheme: `s3`, `file`, `table` or another URI scheme; "" for a path without one
    root: the bucket or host; "" if there is none
    parts: the names from the root down, or the parts of a table's name
    is_pattern: whether `*` and `?` in the names stand for other characters
    """

    scheme: str
    root: str
    parts: tuple[str, ...]
    is_pattern: bool = False

    def __str__(self) -> str:
        if self.scheme == TABLE:
            return ".".join(self.parts)
        path = "/".join(self.parts)
        if self.scheme in (_FILE, _PLAIN):
            return f"/{path}"
        return f"{self.scheme}://{self.root}/{path}"

    def relation(self, other: Place) -> Relation:
        """Tell whether this place is equal to, above, below or apart from another.

        A source's path may be a glob pattern: it relates to every place that it may match. A table
        is above its branches, tags and metadata tables, such as Iceberg's `lake.db.t.snapshots`.
        """
        if not self._shares_root(other):
            return Relation.APART
        pairs = zip(self.parts, other.parts, strict=False)
        if not all(self._has_name(mine, yours, other) for mine, yours in pairs):
            return Relation.APART
        if len(self.parts) == len(other.parts):
            return Relation.EQUAL
        return Relation.ABOVE if len(self.parts) < len(other.parts) else Relation.BELOW

    def _shares_root(self, other: Place) -> bool:
        schemes = {self.scheme, other.scheme}
        if len(schemes) == 1:
            # `hdfs:///x` names no host: the default one.
            is_same_root = self.root == other.root
            return is_same_root or (self.scheme != "s3" and "" in (self.root, other.root))
        return _PLAIN in schemes and not schemes & {"s3", TABLE}

    def _has_name(self, mine: str, yours: str, other: Place) -> bool:
        return (
            mine == yours
            or (self.is_pattern and fnmatch.fnmatchcase(yours, mine))
            or (other.is_pattern and fnmatch.fnmatchcase(mine, yours))
        )


def place_of_path(path: str, *, is_pattern: bool = False) -> Place:
    """Return the place of a URI or a path. A relative path is resolved in the working directory.

    is_pattern: whether the path may be a glob pattern, as the path of a source
    """
    match = _URI.fullmatch(path)
    if match is None:
        scheme, root, rest = _PLAIN, "", path
    else:
        scheme, root, rest = match[1].lower(), match[2] or "", match[3]
    if scheme in SCHEMES:
        scheme = "s3"
    if scheme == _FILE:
        # As storage reads it: what follows file:// is a path, which may be relative.
        rest, root = root + rest, ""
    if scheme in (_FILE, _PLAIN) and not rest.startswith("/"):
        rest = f"{Path.cwd()}/{rest}"
    parts = _resolved(rest)
    return Place(scheme, root, _opened(parts) if is_pattern else parts, is_pattern)


def place_of_table(name: str, catalog: str = CATALOG, database: str = DATABASE) -> Place:
    """Return the place of a table. Case and backticks do not matter.

    catalog, database: complete a name that lacks them
    A table may be a path: delta.`s3://bucket/table`.
    """
    parts = names_of_table(name)
    if len(parts) == 2 and "/" in parts[1]:
        return place_of_path(parts[1])
    lowered = [part.lower() for part in parts]
    if len(lowered) == 1:
        lowered = [database.lower(), *lowered]
    if len(lowered) == 2:
        lowered = [catalog.lower(), *lowered]
    return Place(TABLE, "", tuple(lowered))


def names_of_table(name: str) -> list[str]:
    """Return the parts of a table's name, without backticks."""
    return [
        quoted.replace("``", "`") if quoted else plain.strip()
        for quoted, plain in _NAME.findall(name)
    ]


def place_of(path: str | None, table: str | None, *, is_pattern: bool = False) -> Place | None:
    """Return the place that a section of the config names by a path or a table, or None."""
    if path is not None:
        return place_of_path(path, is_pattern=is_pattern)
    return place_of_table(table) if table is not None else None


def _resolved(path: str) -> tuple[str, ...]:
    parts: list[str] = []
    for name in path.split("/"):
        if name == "..":
            del parts[-1:]
        elif name not in ("", "."):
            parts.append(name)
    return tuple(parts)


def _opened(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Write Hadoop's patterns with `*` and `?` only, so that they match no less than before."""
    opened: list[str] = []
    for name in parts:
        if name.count("{") != name.count("}"):
            break  # the alternatives contain slashes, so what follows may be at any depth
        opened.append(re.sub(r"\[[^\]]*\]", "?", re.sub(r"\{.*\}", "*", name)).replace("[", "[[]"))
    return tuple(opened)
