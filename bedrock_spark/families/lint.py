"""Find what the service would refuse in a request body, before any record is paid for.

A batch job does not check its records against the model before it runs: a wrong body fails in every
record, and this shows only when the job ends. The rules are in lint_rules.py. The service changes,
so `batch.lint: ignore` turns them off.

The body is checked twice: as the config has it, before anything is read, when a placeholder may
still become any value; and as the first rows of the source render it, in prepare.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bedrock_spark.config import Config
from bedrock_spark.families import bare_model_id, family_of
from bedrock_spark.families.asked_shape import build_body
from bedrock_spark.families.lint_body import Body
from bedrock_spark.families.lint_rules import RULES
from bedrock_spark.families.option_places import options_by_place

_SHOWN_PLACES = 3


@dataclass(frozen=True)
class LintFinding:
    """A fault in a body that one rule found.

    where: the key paths of the fault
    message: what is wrong, and what to do
    """

    rule: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def lint(config: Config) -> list[LintFinding]:
    """Return the faults of this config's body that the service would refuse, at most one per rule.

    A body that a column holds has none before it is rendered. Raises ConfigError if no body can be
    built.
    """
    request = config.request
    if request.body_column is not None:
        return []
    if request.body is not None:
        return list(_findings(_body(config, "request.body", request.body), {}))
    options = options_by_place(family_of(config), request, bare_model_id(config.model.id))
    return list(_findings(_body(config, "request", build_body(config)), options))


class RenderedLint:
    """The linter for bodies that were rendered from rows. It shows no value and no key of a row."""

    def __init__(self, config: Config) -> None:
        """Prepare the key paths that may be shown. Raises ConfigError if no body can be built."""
        self._config = config
        request = config.request
        self._options: Mapping[str, str] = {}
        if request.body_column is not None:
            self._root, template = "request.body_column", None
        elif request.body is not None:
            self._root, template = "request.body", request.body
        else:
            family, model_id = family_of(config), bare_model_id(config.model.id)
            self._root, template = "request", build_body(config)
            self._options = options_by_place(family, request, model_id)
        self._keys = frozenset(_keys(template))

    def __call__(self, body: Mapping[str, Any]) -> list[LintFinding]:
        """Return the faults of one body, at most one per rule."""
        checked = _body(self._config, self._root, body)
        return list(_findings(checked, self._options, self._keys))


def _body(config: Config, root: str, body: Mapping[str, Any]) -> Body:
    return Body(root, body, bare_model_id(config.model.id), family_of(config))


def _findings(
    body: Body, options: Mapping[str, str], keys: frozenset[str] | None = None
) -> Iterator[LintFinding]:
    """Yield the faults of a body.

    options: the user's key for each key path of a body that a family has built
    keys: the keys that may be shown; None for all
    """
    for name, rule in RULES.items():
        fault = rule(body)
        if fault is not None:
            shown = (options.get(place) or _shown(place, body.root, keys) for place in fault[0])
            places = list(dict.fromkeys(shown))
            more = f" and {len(places) - _SHOWN_PLACES} more" * (len(places) > _SHOWN_PLACES)
            yield LintFinding(name, ", ".join(places[:_SHOWN_PLACES]) + more, fault[1])


def _shown(place: str, root: str, keys: frozenset[str] | None) -> str:
    """Return a key path without the keys between root and end that may be data."""
    if keys is None:
        return place
    *parents, last = place[len(root) + 1 :].split(".")
    known = [key for key in parents if key.split("[")[0] in keys]
    return ".".join((root, *known, last))


def _keys(value: Any) -> Iterable[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from (str(key), *_keys(item))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _keys(item)
