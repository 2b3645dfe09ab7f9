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
from bedrock_spark.families.ceilings import KEYS, ceiling_of, model_limit
from bedrock_spark.families.endings import Ending
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
    problems = [*refused, *([] if refused else _ceiling_faults(family, config))]
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


def _ceiling_faults(family: Family, config: Config) -> list[Problem]:
    """Return why answers that are cut off cannot be asked again with a higher limit."""
    request, most = config.request, config.request.max_tokens_ceiling
    if request.on_truncated != "retry" or most is None:
        return []
    ceiling, known = ceiling_of(config), model_limit(config)
    if not family.reads_answers:
        fault = f"the family {family.name} does not read whether an answer was cut off"
    elif Ending.TRUNCATED not in family.endings.words.values():
        fault = f"models of the family {family.name} cut off no answers"
    elif ceiling is None:
        fault = f"{_why_no_ceiling(request)}. Or use keep or error"
    elif most <= ceiling.tokens:
        return [
            Problem(
                f"request.max_tokens_ceiling: {most:,} is not above the limit of the first try, "
                f"{ceiling.tokens:,} ({'.'.join(ceiling.path)} of the body)"
            )
        ]
    elif known is not None and most > known and config.batch.lint == "refuse":
        text = f"is more than the {known:,} tokens this model can write"
        return [Problem(f"request.max_tokens_ceiling: {most:,} {text}")]
    else:
        return []
    return [Problem(f"request.on_truncated: retry raises the limit of tokens, but {fault}")]


def _why_no_ceiling(request: RequestConfig) -> str:
    """Return why the limit of the requests is not known, and what to do."""
    if request.body_column is not None:
        return "bodies in request.body_column may each have another one; write request.body"
    if request.body is not None:
        return f"request.body must have it as one number, under one of {', '.join(KEYS)}"
    return "the request has none; set request.max_tokens"


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
