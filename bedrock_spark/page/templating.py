"""The templates of the page. Every value is escaped; only charts and the style sheet are markup."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bedrock_spark.page import words


@cache
def environment() -> Environment:
    """Return the environment, in which a name that is missing is an error."""
    made = Environment(
        loader=PackageLoader("bedrock_spark.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        number=words.number,
        exact_dollars=words.exact_dollars,
        duration=words.duration,
        moment=words.moment,
        rough_dollars=words.rough_dollars,
    )
    made.globals.update(share=words.share, counted=words.counted)
    return made


@cache
def style(name: str) -> Markup:
    """Return a style sheet of this package as markup."""
    source, _, _ = PackageLoader("bedrock_spark.page", "templates").get_source(environment(), name)
    return Markup(source)
