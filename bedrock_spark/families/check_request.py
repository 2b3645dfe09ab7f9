"""Check the request of a config against its model: templates, options, the rules of the linter.

Each problem has the key of the user's config. Nothing is read but the config.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bedrock_spark.config import Config, RequestConfig
from bedrock_spark.config.problems import Problem, problem_of
from bedrock_spark.errors import ConfigError
from bedrock_spark.families.asked_shape import asked_shape
from bedrock_spark.families.bare_ids import bare_model_id
from bedrock_spark.families.base import Family
from bedrock_spark.families.lint import lint
from bedrock_spark.families.option_places import leaves
from bedrock_spark.families.registry import family_of
from bedrock_spark.families.request_body import body_template
from bedrock_spark.templates.explain import template_problems

_MOST_TRIES = 20


def template_faults(request: RequestConfig) -> list[Problem]:
    """Return what is wrong with the templates of a request; its other values may be of any type."""
    texts = [
        (f"request.{option}", getattr(request, option, None)) for option in ("prompt", "system")
    ]
    texts += leaves(getattr(request, "body", None), "request.body")
    return [
        Problem(f"{key}: {fault}")
        for key, text in texts
        if isinstance(text, str)
        for fault in template_problems(text)
    ]


def request_faults(config: Config, *, has_templates: bool) -> list[Problem]:
    """Return what the model of a config refuses in its request, and a request without a column.

    has_templates: whether the templates of the request have no fault
    """
    try:
        family = family_of(config)
    except ConfigError as exc:
        return problem_of(exc)
    request, model_id = config.request, bare_model_id(config.model.id)
    refused = [] if request.prompt is None else _refused_options(family, request, model_id)
    if not refused:
        try:
            asked_shape(config)
        except ConfigError as exc:
            refused = problem_of(exc)
    problems = list(refused)
    if not refused and config.batch.lint == "refuse":
        problems += (
            Problem(
                f"{finding}. The model {config.model.id} would refuse every record, and say so "
                "only after the job has run; if this is no longer true, set batch.lint: ignore"
            )
            for finding in lint(config)
        )
    if not refused and has_templates:
        try:
            body_template(config)
        except ConfigError as exc:
            problems += problem_of(exc)
    return problems


def _refused_options(family: Family, request: RequestConfig, model_id: str) -> list[Problem]:
    """Return all options that a family refuses, or misses.

    A family stops at the first. So each option that it names is corrected, and it is asked again.
    """
    problems: list[Problem] = []
    for _ in range(_MOST_TRIES):
        try:
            family.build(request, model_id)
        except ConfigError as exc:
            found = problem_of(exc)
        else:
            break
        problems += found
        corrected = dict(_corrections(request, found))
        if not corrected:
            break
        request = request.model_copy(update=corrected)
    return list(dict.fromkeys(problems))


def _corrections(request: RequestConfig, problems: list[Problem]) -> Iterator[tuple[str, Any]]:
    for problem in problems:
        option = str(problem.path[-1]) if len(problem.path) == 2 else ""
        field = RequestConfig.model_fields.get(option)
        if field is None:
            continue
        value = getattr(request, option)
        if option == "prompt":
            if value != "{{ x }}":
                yield option, "{{ x }}"
        elif value in (None, ()):
            yield option, 1
        else:
            yield option, field.get_default()
