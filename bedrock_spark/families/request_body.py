"""Compile the request of a config: its family, its template and its columns."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import msgspec

from bedrock_spark.config import Config, RequestConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import family_of, limits_of
from bedrock_spark.families.asked_shape import build_body
from bedrock_spark.families.base import NO_LIMITS, ModelLimits, prompt_of
from bedrock_spark.families.media_blocks import with_most_images, without_limits
from bedrock_spark.families.text_places import texts
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
from bedrock_spark.templates.text_check import text_fault


def body_template(config: Config, fetch: Fetch = fetches_nothing) -> BodyTemplate:
    """Compile the request of a config. Raises ConfigError; needs no data.

    fetch: returns the bytes of an S3 object that a row names as an image or a document
    """
    request = config.request
    family = family_of(config)
    is_checked = config.batch.lint == "refuse" and family.reads_answers
    limits = limits_of(config) if is_checked else NO_LIMITS
    if request.body_column is not None:
        return _body_in_column(request.body_column, limits if is_checked else None)
    if request.body is not None:
        checked = [text for _, text in texts(request.body, "")] if is_checked else []
        template = compile_template(
            request.body, fetch=fetch, checked=checked, max_characters=limits.max_characters
        )
    else:
        _compile_options(request)
        body = build_body(config)
        checked = []
        if is_checked:
            body = with_most_images(body, limits.max_images)
            # The prompt itself, too: some families put it into the model's template, and a model
            # that gets nothing but its template has no question.
            checked = [*(text for _, text in texts(body, "")), prompt_of(request)]
        if config.batch.lint == "ignore":
            body = without_limits(body)
        template = compile_template(
            body,
            where="request",
            fetch=fetch,
            checked=checked,
            max_characters=limits.max_characters,
        )
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


def _body_in_column(column: str, limits: ModelLimits | None) -> BodyTemplate:
    """Return the template of a body that a column holds.

    limits: what the model takes of its texts; None to check no text
    """

    def render(row: Row) -> bytes:
        body = _json_object(row[column], column)
        fault = _fault_of(body, limits) if limits is not None else None
        if fault is not None:
            raise RowRejected(column, fault)
        return body

    return BodyTemplate(columns=(column,), static_bytes=0, parts=(render,))


def _fault_of(body: bytes, limits: ModelLimits) -> str | None:
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError):
        return None  # a number that Python cannot hold, say
    faults = (text_fault(text, limits.max_characters) for _, text in texts(decoded, ""))
    return next(filter(None, faults), None)


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
