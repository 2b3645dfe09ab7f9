"""Which rows of a source are looked at before a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bedrock_spark.errors import ConfigError


@dataclass(frozen=True)
class RowChoice:
    """Some rows of a source: the first ones, rows at random, or those with certain keys.

    rows: the largest number of rows
    where: a condition of Spark SQL on the columns, which they fulfil; where_name: what messages
        call it
    seed: None for the first rows; else rows at random, the same ones for the same seed
    keys: of the rows: for each, the values of `source.key` as text; () for rows with any key
    """

    rows: int
    where: str | None = None
    seed: int | None = None
    keys: tuple[tuple[str, ...], ...] = ()
    where_name: str = "--where"

    def said(self, where: str | None = None) -> str:
        """Return the conditions in words, for a message; "" if there are none.

        where: `source.where`
        """
        sql = " and ".join(text for text in (where, self.where) if text is not None)
        parts = [f"{sql} is true"] if sql else []
        parts += ["the key is one of those given"] if self.keys else []
        return " and ".join(parts)


def keys_of_lines(lines: Iterable[str], columns: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
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
