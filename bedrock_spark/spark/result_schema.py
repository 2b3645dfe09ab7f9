"""The result columns that a config asks for, with their types in Spark DDL and in Arrow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from bedrock_spark.config import ResultsConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.schema import (
    ARRAY,
    MAP,
    MODEL_OUTPUT,
    RESULT_FIELDS,
    STRUCT,
    Field,
    Kind,
    parse_ddl,
    quote_name,
)

_ARROW_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "boolean": pa.bool_(),
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
}


@dataclass(frozen=True)
class ResultColumns:
    """The result columns.

    fields: all of them in order: those that every result has, then `parsed`
    parsed: the columns of `results.parse`, into which the JSON of an answer is read
    retries: how often a record may be asked again if its answer does not fit `parsed`
    """

    fields: tuple[Field, ...]
    parsed: tuple[Field, ...] = ()
    retries: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        return tuple(field.name for field in self.fields)

    @property
    def ddl(self) -> str:
        """Return the columns as Spark DDL."""
        return ", ".join(f"{quote_name(field.name)} {field.kind.ddl}" for field in self.fields)

    @property
    def fingerprint(self) -> str:
        """Return a text that changes if these columns would change the content of results."""
        return f"{self.ddl}; {self.parsed!r}; {self.retries}"

    def arrow(self) -> list[tuple[str, pa.DataType]]:
        """Return the names and Arrow types of the columns."""
        return [(field.name, arrow_of(field.kind)) for field in self.fields]


def result_columns_of(config: ResultsConfig) -> ResultColumns:
    """Return the result columns that a config asks for."""
    drops = config.model_output == "drop"
    fields = tuple(f for f in RESULT_FIELDS if not (drops and f.name == MODEL_OUTPUT))
    parsed = parse_ddl(config.parse.columns) if config.parse else ()
    retries = config.parse.retries if config.parse else 0
    return ResultColumns(fields + parsed, parsed, retries)


def refuse_clashes(kept: Iterable[str], config: ResultsConfig) -> None:
    """Raise ConfigError if `results.parse` has a column that is kept from the source.

    kept: the names of the kept source columns; case does not matter
    """
    kept_names = {name.lower() for name in kept}
    for field in result_columns_of(config).parsed:
        if field.name.lower() in kept_names:
            raise ConfigError(
                f"results.parse: has the column {field.name}, which is kept from the source; "
                "rename it, or leave the source's column out of source.columns"
            )


def arrow_of(kind: Kind) -> pa.DataType:
    """Return the Arrow type of a type in Spark DDL."""
    if kind.name == STRUCT:
        return pa.struct([(field.name, arrow_of(field.kind)) for field in kind.fields])
    if kind.name == ARRAY and kind.item:
        return pa.list_(arrow_of(kind.item))
    if kind.name == MAP and kind.item:
        return pa.map_(pa.string(), arrow_of(kind.item))
    return _ARROW_TYPES[kind.name]
