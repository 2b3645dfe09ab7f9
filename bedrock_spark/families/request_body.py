"""From the config to a compiled body: which family, which template, which columns."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import msgspec

from bedrock_spark.config import Config
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import family_of
from bedrock_spark.families.media_blocks import without_limits
from bedrock_spark.templates.body_template import (
    BodyTemplate,
    Row,
    RowRejected,
    compile_template,
    reason_of,
)
from bedrock_spark.templates.json_values import as_json
from bedrock_spark.templates.media import Fetch, fetches_nothing


def body_template(config: Config, fetch: Fetch = fetches_nothing) -> BodyTemplate:
    """Compile the request of a config. Raises ConfigError; needs no data.

    fetch: gives the bytes of S3 objects that rows name as images and documents
    """
    request = config.request
    family = family_of(config.model)
    if request.body_column is not None:
        return _body_in_column(request.body_column)
    if request.body is not None:
        template = compile_template(request.body, fetch=fetch)
    else:
        body = family.build(request)
        if config.batch.lint == "ignore":
            body = without_limits(body)
        template = compile_template(body, where="request", fetch=fetch)
    if not template.columns:
        raise ConfigError("request: has no {{ column }} placeholder; every row would ask the same")
    return template


def check_columns(wanted: Sequence[str], present: Sequence[str], where: str) -> None:
    """Raise ConfigError naming the columns that are not there, with the nearest that are."""
    for name in wanted:
        if name not in present:
            close = difflib.get_close_matches(name, present, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(close)}? " if close else ""
            raise ConfigError(
                f"{where}: the source has no column {name}; {hint}it has {', '.join(present)}"
            )


def _body_in_column(column: str) -> BodyTemplate:
    def render(row: Row) -> bytes:
        return _json_object(row[column], column)

    return BodyTemplate(columns=(column,), static_bytes=0, parts=(render,))


def _json_object(value: object, column: str) -> bytes:
    """Return the JSON object that a column holds, as text or as a struct, on one line."""
    if value is None:
        raise RowRejected(column, "is null")
    if isinstance(value, dict):
        try:
            return as_json(value)
        except (ValueError, TypeError) as exc:
            raise RowRejected(column, reason_of(exc)) from None
    try:
        # Only white space is removed: numbers keep the digits they were written with.
        text = msgspec.json.format(str(value).encode(), indent=-1)
        msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        raise RowRejected(column, "is not a JSON object") from None
    return text
