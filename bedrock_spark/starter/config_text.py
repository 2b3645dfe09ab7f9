"""Write a config as commented YAML."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

_BUDGET = 5
_WIDTH = 95
# Words that YAML takes for something else than a text.
_NOT_TEXT = ("true", "false", "yes", "no", "on", "off", "null", "y", "n")


@dataclass(frozen=True)
class NewConfig:
    """What a new config says.

    source: the section, without its key
    prompt: None if `request` has the whole body; request: without the prompt
    columns: of the answers, as DDL; None if they are not parsed
    has_budget: whether the prices of the model are known
    model: further keys of the section `model`
    fallback_id: the model of the fallback, if it is not that of the batch jobs
    made_by: what has written the config
    """

    run_uri: str
    source: Mapping[str, Any]
    key: Sequence[str]
    model_id: str
    prompt: str | None
    request: Mapping[str, Any]
    role_arn: str
    region: str | None
    results: Mapping[str, Any]
    columns: str | None = None
    has_budget: bool = True
    notes: Sequence[str] = field(default_factory=tuple)
    model: Mapping[str, Any] = field(default_factory=dict)
    fallback_id: str | None = None
    made_by: str = "`bedrock-spark init`"


def config_text(new: NewConfig) -> str:
    """Return the YAML text of a config."""
    return "\n".join(_lines(new)) + "\n"


def _lines(new: NewConfig) -> Iterator[str]:
    yield f"# Made by {new.made_by}. docs/config.md explains every key."
    yield from (f"# {note}" for note in new.notes)
    yield ""
    yield "# The run folder: all that is known about the run. Another question needs another one."
    yield f"run_uri: {_value(new.run_uri)}"
    yield ""
    yield "# The table: one question per row."
    yield "source:"
    yield from (f"  {name}: {_value(value)}" for name, value in new.source.items())
    if new.key:
        yield "  # Columns that are unique together: an answer is found by its row."
        yield f"  key: [{', '.join(map(_value, new.key))}]"
    else:
        yield "  # No column was unique in the first rows. By a key, an answer is found."
        yield "  # key: [id]"
    yield ""
    yield "# The model of the batch jobs. docs/families.md lists the families."
    yield "model:"
    yield f"  id: {_value(new.model_id)}"
    yield from (f"  {name}: {_value(value)}" for name, value in new.model.items())
    yield ""
    yield "# The question. {{ … }} is a column; docs/templates.md has filters and conditions."
    yield "request:"
    if new.prompt is not None:
        yield from _text("  prompt", new.prompt)
    for name, value in new.request.items():
        yield from _body(value) if name == "body" else [f"  {name}: {_value(value)}"]
    yield ""
    yield "# The role that Bedrock assumes for the jobs."
    yield "batch:"
    yield f"  role_arn: {_value(new.role_arn)}"
    if new.region is not None:
        yield f"  region: {_value(new.region)}"
    yield ""
    yield "# Asked one by one, at the full price: what batch jobs leave, and tables below 100 rows."
    yield "fallback:"
    yield f"  model_id: {_value(new.fallback_id or new.model_id)}"
    yield ""
    if new.has_budget:
        yield "# The run ends before it costs more than this, in dollars."
        yield "budget:"
        yield f"  max_cost_usd: {_BUDGET}"
    else:
        yield "# A limit of dollars needs the model's prices: docs/prices.md."
        yield f"# budget: {{max_cost_usd: {_BUDGET}}}"
    yield ""
    yield "# The columns of the source with those of the answers: docs/results.md."
    yield "results:"
    yield from (f"  {name}: {_value(value)}" for name, value in new.results.items())
    if new.columns is not None:
        yield "  # The columns that answers are read into; answers that do not fit are `invalid`."
        yield "  parse:"
        yield f"    columns: {_value(new.columns)}"


def _body(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield a whole request, one value a line, so that a person can change it."""
    yield "  body:"
    text = yaml.safe_dump(dict(body), sort_keys=False, allow_unicode=True, width=_WIDTH)
    yield from (f"    {line}" if line else "" for line in text.splitlines())


def _value(value: Any) -> str:
    """Return a value as YAML: JSON is YAML."""
    is_plain = isinstance(value, str) and value.replace("_", "").isalnum() and value[0].isalpha()
    is_word = is_plain and value.lower() not in _NOT_TEXT
    return value if is_word else _json(value)


def _json(value: Any) -> str:
    """Return a value as JSON, with escapes of YAML for characters that YAML refuses."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)


def _text(key: str, text: str) -> Iterator[str]:
    """Yield a text of one or more lines; a block keeps its lines as a person wrote them."""
    lines = text.split("\n")
    has_odd = any(not (c.isprintable() or c == "\n") for c in text)
    is_block = len(lines) > 1 and bool(lines[0].strip()) and lines[0][0] != " "
    if not is_block or has_odd or text != text.strip("\n"):
        yield f"{key}: {_json(text)}"
        return
    yield f"{key}: |-"
    yield from (f"    {line}" if line else "" for line in lines)
