"""Which types of columns prepare takes: those that Spark hands to Python, and reads back.

The rows that are kept go to Python, to Parquet, and after the answers are paid for back to Spark. A
type that does not come back must be refused before. So the types that do are listed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pyspark.sql import types as T  # noqa: N812 - its usual name

from bedrock_spark.errors import ConfigError
from bedrock_spark.templates.body_template import BodyTemplate

# The types that reach Python and come back. By name, because older versions of Spark lack some, and
# newer ones have more, of which nothing is known.
_SINGLE = frozenset(
    (
        *("StringType", "CharType", "VarcharType", "BinaryType", "BooleanType"),
        *("ByteType", "ShortType", "IntegerType", "LongType"),
        *("FloatType", "DoubleType", "DecimalType"),
        *("DateType", "TimestampType", "TimestampNTZType", "TimeType", "DayTimeIntervalType"),
        *("VariantType", "NullType"),
    )
)
# These have no JSON form, so no template can hold them.
_WITHOUT_JSON_FORM = frozenset(("VariantType",))


def check_types(schema: T.StructType, needed: Iterable[str], template: BodyTemplate) -> None:
    """Raise ConfigError for columns whose type cannot be handed to Python and back.

    needed: all columns that prepare reads
    """
    for name in needed:
        kind = schema[name].dataType
        known = _SINGLE - _WITHOUT_JSON_FORM if name in template.columns else _SINGLE
        refused = _refused_type(kind, known)
        if refused is not None:
            key = "request" if name in template.columns else "source.columns"
            raise ConfigError(
                f"{key}: {name} holds the type {refused}, which {_remedy(refused, kind)}"
            )
    for placeholder in template.media:
        if not placeholder.path:
            _check_media(placeholder.column, schema[placeholder.column].dataType)


def _remedy(refused: str, kind: T.DataType) -> str:
    if isinstance(kind, T.UserDefinedType):
        return (
            f"is a type of {kind.module()} and cannot be kept. Turn it into an array or a "
            "struct (for vectors: pyspark.ml.functions.vector_to_array), or leave it out of "
            "source.columns"
        )
    if refused == "struct<>":
        return "has no fields and cannot be kept; leave it out of source.columns"
    return (
        "cannot be read; cast it to a string, turn it into one by to_json, or leave it out "
        "of source.columns"
    )


def _refused_type(kind: T.DataType, known: Collection[str]) -> str | None:
    """Return the first type in `kind` that is not known, as Spark writes it; None if all are."""
    if isinstance(kind, T.ArrayType):
        parts = [kind.elementType]
    elif isinstance(kind, T.MapType):
        if isinstance(kind.keyType, T.NullType):
            return kind.simpleString()  # of map(): Arrow has no such keys
        parts = [kind.keyType, kind.valueType]
    elif isinstance(kind, T.StructType) and kind.fields:
        parts = [field.dataType for field in kind.fields]
    else:
        return None if type(kind).__name__ in known else kind.simpleString()
    return next((refused for part in parts if (refused := _refused_type(part, known))), None)


def _check_media(name: str, kind: T.DataType) -> None:
    element = kind.elementType if isinstance(kind, T.ArrayType) else kind
    if not isinstance(element, (T.StringType, T.BinaryType)):
        raise ConfigError(
            f"request: {name} is a {kind.simpleString()}; images and documents are bytes, s3:// "
            "URIs, or an array of either"
        )
