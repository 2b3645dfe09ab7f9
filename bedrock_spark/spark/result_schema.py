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
    RESULT_COLUMNS,
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

    fields: all of them in order: those that every result has, then `parsed`; without the prefix
    parsed: the columns of `results.parse`, into which the JSON of an answer is read
    prefix: what the name of every column begins with in the results
    """

    fields: tuple[Field, ...]
    parsed: tuple[Field, ...] = ()
    prefix: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns in the results."""
        return tuple(self.prefix + field.name for field in self.fields)

    @property
    def ddl(self) -> str:
        """Return the columns as Spark DDL."""
        pairs = zip(self.names, self.fields, strict=True)
        return ", ".join(f"{quote_name(name)} {field.kind.ddl}" for name, field in pairs)

    @property
    def fingerprint(self) -> str:
        """Return a text that changes if these columns would change the content of results."""
        return f"{self.ddl}; {self.parsed!r}"

    def arrow(self) -> list[tuple[str, pa.DataType]]:
        """Return the names in the results and the Arrow types of the columns."""
        kinds = (arrow_of(field.kind) for field in self.fields)
        return list(zip(self.names, kinds, strict=True))


def result_columns_of(config: ResultsConfig) -> ResultColumns:
    """Return the result columns that a config asks for."""
    drops = config.model_output == "drop"
    fields = tuple(f for f in RESULT_FIELDS if not (drops and f.name == MODEL_OUTPUT))
    parsed = parse_ddl(config.parse.columns) if config.parse else ()
    return ResultColumns(fields + parsed, parsed, config.prefix)


def refuse_clashes(kept: Iterable[str], config: ResultsConfig) -> None:
    """Raise ConfigError if a result column has the name of a column kept from the source.

    kept: the names of the kept source columns; case does not matter
    """
    results = {name.lower() for name in result_columns_of(config).names}
    # The column is reserved also while results.model_output is `drop`: that setting may change.
    results |= {f"{config.prefix}{name}".lower() for name in RESULT_COLUMNS}
    for name in kept:
        if name.lower() in results:
            other = "another results.prefix" if config.prefix else "results.prefix: llm_"
            raise ConfigError(
                f"source: its column {name} has the name of a result column. {other} renames all "
                f"result columns; source.rename: {{{name}: …}} renames this one; source.columns "
                "lists the columns to keep"
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
