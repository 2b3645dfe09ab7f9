"""Compile the request of a config: its family, its template and its columns."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import msgspec

from bedrock_spark.config import Config, RequestConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import family_of
from bedrock_spark.families.media_blocks import without_limits
from bedrock_spark.templates.body_template import (
    BodyTemplate,
    Row,
    RowRejected,
    compile_template,
    rejection_reason,
)
from bedrock_spark.templates.explain import column_placeholder
from bedrock_spark.templates.json_values import as_json
from bedrock_spark.templates.media import Fetch, fetches_nothing


def body_template(config: Config, fetch: Fetch = fetches_nothing) -> BodyTemplate:
    """Compile the request of a config. Raises ConfigError; needs no data.

    fetch: returns the bytes of an S3 object that a row names as an image or a document
    """
    request = config.request
    family = family_of(config.model)
    if request.body_column is not None:
        return _body_in_column(request.body_column)
    if request.body is not None:
        template = compile_template(request.body, fetch=fetch)
    else:
        _compile_options(request)
        body = family.build(request)
        if config.batch.lint == "ignore":
            body = without_limits(body)
        template = compile_template(body, where="request", fetch=fetch)
    if not template.columns:
        raise ConfigError(f"{_asked_by(request)}: {NO_PLACEHOLDER}")
    return template


NO_PLACEHOLDER = (
    "has no {{ column }} placeholder; every row would send the same request. For example "
    '"Classify: {{ body }}", with the name of a column'
)


def _asked_by(request: RequestConfig) -> str:
    return "request.body" if request.body is not None else "request.prompt"


def _compile_options(request: RequestConfig) -> None:
    """Raise ConfigError under the user's key, which the body of a family does not have."""
    for option in ("prompt", "system"):
        compile_template(getattr(request, option), where=f"request.{option}")


def check_columns(names: Sequence[str], present: Sequence[str], where: str) -> None:
    """Raise ConfigError for the first of `names` that is not in `present`, with similar names.

    where: the place in the config that names the columns, for the message
    """
    for name in names:
        if name not in present:
            close = difflib.get_close_matches(name, present, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(close)}? " if close else ""
            odd = next((c for c in close if not c.isidentifier()), None)
            if odd is not None and where == "request":
                hint += f"(The column {odd} is written {column_placeholder(odd)}.) "
            raise ConfigError(
                f"{where}: the source has no column {name}; {hint}it has {', '.join(present)}"
            )


def _body_in_column(column: str) -> BodyTemplate:
    def render(row: Row) -> bytes:
        return _json_object(row[column], column)

    return BodyTemplate(columns=(column,), static_bytes=0, parts=(render,))


def _json_object(value: object, column: str) -> bytes:
    """Return the JSON object in a column (text or struct) on one line. Raises RowRejected."""
    if value is None:
        raise RowRejected(column, "is null")
    if isinstance(value, dict):
        try:
            return as_json(value)
        except (ValueError, TypeError) as exc:
            raise RowRejected(column, rejection_reason(exc)) from None
    try:
        # format() removes only white space: numbers keep all their digits.
        text = msgspec.json.format(str(value).encode(), indent=-1)
        msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        raise RowRejected(column, "is not a JSON object") from None
    return text
