"""Which rows of a source are looked at before a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from bedrock_spark.errors import ConfigError, PlanError

Key: TypeAlias = tuple[str, ...]
Row = TypeVar("Row")

# As much of a value says which column is a key, and which one is to be asked about.
MOST_SAMPLED = 4_096
# An error names as many keys at most, and as many characters of each.
_MOST_NAMED, _MOST_CHARACTERS = 10, 60


@dataclass(frozen=True)
class RowChoice:
    """Some rows of a source: the first ones, rows at random, or those with certain keys.

    rows: the largest number of rows; with `keys`, there is one row for each key
    where: a condition of Spark SQL on the columns, which they fulfil; where_name: what messages
        call it
    seed: None for the first rows; else rows at random, the same ones for the same seed
    keys: of the rows: for each, the values of `source.key` as text; () for rows with any key. They
        differ
    """

    rows: int
    where: str | None = None
    seed: int | None = None
    keys: tuple[Key, ...] = ()
    where_name: str = "--where"

    def said(self, where: str | None = None) -> str:
        """Return the conditions in words, for a message; "" if there are none.

        where: `source.where`
        """
        sql = " and ".join(text for text in (where, self.where) if text is not None)
        return f"{sql} is true" if sql else ""


class KeySearch:
    """The search for the rows with certain keys. Of several rows with one key, the first counts.

    missing: the keys without a row so far
    """

    def __init__(self, choice: RowChoice) -> None:
        self._choice = choice
        self._missing = dict.fromkeys(choice.keys)

    @property
    def missing(self) -> tuple[Key, ...]:
        """Return the keys without a row so far, in the order in which they were given."""
        return tuple(self._missing)

    def new(self, rows: Iterable[tuple[Key, Row]]) -> Iterator[Row]:
        """Yield the rows with a missing key, which is not missing then. rows: each with its key"""
        for key, row in rows:
            if key in self._missing:
                del self._missing[key]
                yield row

    def end(self, where: str | None = None) -> None:
        """Raise PlanError, which names the missing keys, if there are any.

        where: `source.where`
        """
        missing, asked = self.missing, len(self._choice.keys)
        if not missing:
            return
        named = ", ".join(map(_named, missing[:_MOST_NAMED]))
        if len(missing) > _MOST_NAMED:
            named += f" and {len(missing) - _MOST_NAMED:,} more"
        keys = "the key" if asked == 1 else f"{len(missing):,} of the {asked:,} keys:"
        conditions = self._choice.said(where)
        among = f" among those for which {conditions}" if conditions else ""
        raise PlanError(
            f"source: has no row with {keys} {named}{among}; correct "
            f"{'it' if len(missing) == 1 else 'them'}, or ask without"
        )


def _named(key: Key) -> str:
    """Return a key as it is written: tabs between its values, and a long one only in part."""
    text = "\t".join(key)
    return repr(text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…")


def keys_of_lines(lines: Iterable[str], columns: tuple[str, ...]) -> tuple[Key, ...]:
    """Return the keys in lines: one a line, with a tab between the values of several columns.

    columns: of `source.key`
    Raises ConfigError if the source has no key, or a line has another number of values.
    """
    keys = tuple(dict.fromkeys(tuple(line.split("\t")) for line in lines if line.strip()))
    if keys and not columns:
        raise ConfigError("source.key: is not set, so no row can be named by its key")
    if len(columns) == 1:
        return tuple((part,) for part in dict.fromkeys("\t".join(key) for key in keys))
    wrong = next((n for n, key in enumerate(keys, start=1) if len(key) != len(columns)), None)
    if wrong is not None:
        raise ConfigError(
            f"key {wrong}: has {len(keys[wrong - 1])} values, and source.key has {len(columns)} "
            f"columns: {', '.join(columns)}. Write the values of a key in this order, with a tab "
            "between them"
        )
    return keys
