"""Names of columns that sources may not have, because the package's own columns have them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pyspark.sql import types as T  # noqa: N812

from bedrock_spark.config import SourceConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.schema import (
    RESULT_COLUMNS,
    ROW_BODY_SHA256,
    ROW_RECORD_ID,
    first_repeated,
    is_internal,
    is_reserved,
)
from bedrock_spark.spark.prepare.columns import HASH, KEY, REPEATED, TIE
from bedrock_spark.spark.prepare.shard_files import REJECT_FIELDS
from bedrock_spark.spark.prepare.source import choose_columns
from bedrock_spark.spark.prepare.source_columns import SourceColumns
from bedrock_spark.templates.body_template import BodyTemplate

INTERNAL = (HASH, KEY, TIE, REPEATED)
OWN = (*(field.name for field in REJECT_FIELDS), ROW_RECORD_ID, ROW_BODY_SHA256, *INTERNAL)
REFUSED = "has a name that the package's own columns have"


def chosen(names: list[str], rendered: str = "body", **source: Any) -> SourceColumns:
    """Choose the columns of a source that has columns with these names."""
    schema = T.StructType([T.StructField(name, T.StringType()) for name in names])
    df: Any = SimpleNamespace(columns=names, schema=schema)
    template = BodyTemplate(columns=(rendered,), static_bytes=0, parts=())
    return choose_columns(df, SourceConfig(**source), template)


@pytest.mark.parametrize("name", OWN)
def test_a_kept_column_with_a_reserved_name_is_refused(name: str) -> None:
    """In any case, before anything is written; the message names it as the source does."""
    for spelled in (name, name.upper(), name.title()):
        assert is_reserved(spelled)
        with pytest.raises(ConfigError, match=f"its column {spelled} {REFUSED}.*source.columns"):
            chosen(["id", "body", spelled])
        assert chosen(["id", "body", spelled], columns=["id"]).kept == ("id",)
    assert not is_reserved(f"my_{name}")


@pytest.mark.parametrize("name", [*OWN, *RESULT_COLUMNS])
def test_a_rendered_column_may_have_the_name_of_a_result_column(name: str) -> None:
    """It is in the request only. But columns that prepare adds to the rows would replace it."""
    if not is_internal(name):
        assert chosen(["id", name], rendered=name, columns=["id"]).needed == ("id", name)
        return
    with pytest.raises(ConfigError, match=f"request: the column {name} {REFUSED}"):
        chosen(["id", name], rendered=name, columns=["id"])


@pytest.mark.parametrize(
    ("names", "repeated"),
    [
        (["a", "b"], None),
        (["a", "b", "A"], "A"),
        (["B", "a", "b", "A"], "b"),
        (["x", "x"], "x"),
    ],
)
def test_columns_that_differ_only_in_case_are_refused(
    names: list[str], repeated: str | None
) -> None:
    """Spark could not tell them apart in the results. The message names the second one."""
    assert first_repeated(names) == repeated
    if repeated is None:
        assert chosen([*names, "body"]).kept == (*names, "body")
        return
    with pytest.raises(ConfigError, match=f"more than one column {repeated}, if case is ignored"):
        chosen([*names, "body"])
