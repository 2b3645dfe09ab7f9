"""What types a request's columns may have, checked before a row is read."""

from __future__ import annotations

from collections.abc import Iterable

from pyspark.sql import types as T  # noqa: N812 - what everybody calls it

from bedrock_spark.errors import ConfigError
from bedrock_spark.templates import BodyTemplate

# By name, because older Sparks lack some of them.
_UNREADABLE = ("YearMonthIntervalType", "CalendarIntervalType")
_FORMLESS = (*_UNREADABLE, "VariantType")


def check_types(schema: T.StructType, needed: Iterable[str], template: BodyTemplate) -> None:
    """Raise ConfigError for columns that Python cannot be handed, or that have no place in a body.

    needed: all columns that prepare reads
    """
    for name in needed:
        is_rendered = name in template.columns
        found = _found(schema[name].dataType, _FORMLESS if is_rendered else _UNREADABLE)
        if found:
            where = "request" if is_rendered else "source.columns"
            raise ConfigError(
                f"{where}: {name} holds the type {found}, which cannot be read; cast it to a "
                "string, or turn it into one by to_json"
            )
    for lookup in template.media:
        if not lookup.path:
            _check_media(lookup.column, schema[lookup.column].dataType)


def _check_media(name: str, kind: T.DataType) -> None:
    one = kind.elementType if isinstance(kind, T.ArrayType) else kind
    if not isinstance(one, (T.StringType, T.BinaryType)):
        raise ConfigError(
            f"request: {name} is a {kind.simpleString()}; images and documents are bytes, s3:// "
            "URIs, or an array of either"
        )


def _found(kind: T.DataType, names: tuple[str, ...]) -> str | None:
    """Return a type of one of these names inside of another, as Spark writes it."""
    if type(kind).__name__ in names:
        return kind.simpleString()
    if isinstance(kind, T.ArrayType):
        inside = [kind.elementType]
    elif isinstance(kind, T.MapType):
        inside = [kind.keyType, kind.valueType]
    else:
        inside = [f.dataType for f in kind.fields] if isinstance(kind, T.StructType) else []
    return next((f for f in (_found(k, names) for k in inside) if f), None)
