"""The language inside `{{ }}`: Jinja in its sandbox, with a few differences.

Values enter as Python objects. When they are printed, joined or turned into a string, they take
their text form (see json_values.py). A field of the data comes before a method of the same name:
`order.items` is the field.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import jinja2
import jinja2.filters
import jinja2.sandbox
import jinja2.utils

from bedrock_spark.templates.json_values import as_json, as_text
from bedrock_spark.templates.media import Fetch, base64_of, read_media


class NotThereError(jinja2.UndefinedError):
    """A template needs a field, an element or a result that is not there.

    name: of the field or element, or None. In `a[b]` it is a row's value, and in the message, too
    """

    def __init__(self, name: Any, message: str | None = None) -> None:
        super().__init__(message)
        self.name = name


class _Undefined(jinja2.StrictUndefined):
    """What is not there: an error at every use, which has the name as an attribute."""

    __slots__ = ()

    def __init__(
        self,
        hint: str | None = None,
        obj: Any = jinja2.utils.missing,
        name: str | None = None,
        exc: type[jinja2.TemplateRuntimeError] = jinja2.UndefinedError,
    ) -> None:
        super().__init__(hint, obj, name, exc)
        if exc is jinja2.UndefinedError:
            self._undefined_exception = partial(NotThereError, name)  # type: ignore[assignment]


class _Environment(jinja2.sandbox.ImmutableSandboxedEnvironment):
    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


MEDIA_FILTERS = ("base64", "media_type")


def environment(fetch: Fetch) -> jinja2.Environment:
    """Return the Jinja environment that compiles templates.

    fetch: returns the bytes of an S3 object, for the filters of images and documents
    """
    env = _Environment(
        undefined=_Undefined,
        finalize=_printed,
        keep_trailing_newline=True,
        autoescape=False,
    )
    env.filters |= {
        "default": _default,
        "d": _default,
        "string": _string,
        "tojson": _tojson,
        "join": _join,
        "base64": lambda value: base64_of(read_media(value, fetch)),
        "media_type": lambda value: read_media(value, fetch).media_type,
    }
    # A placeholder names a column. Jinja's globals (range, dict, …) would hide a misspelt column.
    env.globals.clear()
    return env


def _printed(value: Any) -> Any:
    if isinstance(value, jinja2.Undefined):
        return value  # when it is printed, it raises an error
    return as_text(value)


def _default(value: Any, default: Any = "") -> Any:
    """Jinja's `default`, for null as well: a missing value in a table is a null."""
    return default if value is None or isinstance(value, jinja2.Undefined) else value


def _string(value: Any) -> str:
    return str(_printed(value))


def _tojson(value: Any) -> str:
    """Return the JSON form as text. Jinja's own filter fails on dates and escapes for HTML."""
    return as_json(value).decode()


@jinja2.pass_environment
def _join(
    env: jinja2.Environment,
    values: Iterable[Any],
    separator: str = "",
    attribute: str | int | None = None,
) -> str:
    if attribute is not None:
        values = map(jinja2.filters.make_attrgetter(env, attribute), values)
    return separator.join(_string(value) for value in values)
