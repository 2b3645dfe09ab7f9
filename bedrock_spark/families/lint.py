"""What the service refuses in a request body, found before a record of it is paid for.

A batch job does not check its records against the model before it runs: a wrong body fails in every
record, at the end. The rules are facts that somebody met on AWS or that a page states; where a rule
is not known for a model, nothing is said. `batch.lint: ignore` turns them off, because the service
moves on.

Only what the config itself says is judged. A placeholder may become anything, and a body that comes
from a column is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bedrock_spark.config import Config
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import anthropic, bare_model_id, family_of, nova
from bedrock_spark.families.media_blocks import MediaBlocks

# Output tokens beyond these are refused. Nova Micro, Llama 4: a public write-up on some 70 batch
# jobs. Claude 3 Haiku: continuedev/continue #4225. R1: Amazon Bedrock user guide, "DeepSeek
# models".
CEILINGS: tuple[tuple[re.Pattern[str], int], ...] = (
    (re.compile(r"amazon\.nova-micro-.*"), 10_000),
    (re.compile(r"meta\.llama4-.*"), 8_192),
    (re.compile(r"anthropic\.claude-3-haiku-.*"), 4_096),
    (re.compile(r"deepseek\.r1-.*"), 32_768),
)
# One of temperature and top_p at most. Sonnet 4.5 and Haiku 4.5: Amazon Bedrock user guide,
# "Anthropic Claude Messages API: Request and Response". Opus 4.1: open-webui/pipelines #546. Opus
# 4.5 and Sonnet 4.6: aws-samples/bedrock-access-gateway #238. Opus 4.6 is taken to be as 4.5.
ONE_SAMPLER = re.compile(r"anthropic\.claude-(opus-4-[156]|sonnet-4-[56]|haiku-4-5)(-.*)?")
# Neither of them. Opus 4.7 and 4.8 on Bedrock: NousResearch/hermes-agent #36151, aws-samples/
# bedrock-chat #1102. Sonnet 5 and later: Mintplex-Labs/anything-llm #5947, agnt5dev/sdk-core 0.3.7.
NO_SAMPLER = re.compile(r"anthropic\.claude-(opus-4-[78]|(opus|sonnet|haiku|fable)-[5-9])(-.*)?")

_LIMITS = ("max_tokens", "max_completion_tokens", "max_gen_len", "maxTokens", "max_new_tokens")
_TEXTS = ("text", "prompt", "inputText", "message")
_TOOLS = ("tools", "toolConfig", "input", "json", "parameters")
_PLACEHOLDER = re.compile(r"\{[{%]")
_SHOWN_PLACES = 3


@dataclass(frozen=True)
class LintFinding:
    """What one rule found: where, as a key path of the config, and what to do about it."""

    rule: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


@dataclass(frozen=True)
class _Body:
    """A body template, before it is compiled."""

    root: str
    body: Mapping[str, Any]
    model_id: str
    family: str

    @property
    def is_converse(self) -> bool:
        return self.family == "converse"

    def at(self, *keys: str) -> str:
        return ".".join((self.root, *keys))


# A rule gives the places and what is wrong there, or None.
_Found = tuple[list[str], str] | None
_Rule = Callable[[_Body], _Found]


def lint(config: Config) -> list[LintFinding]:
    """Return what the service would refuse in this config's bodies, at most one finding per rule.

    Raises ConfigError where no body can be built.
    """
    body = _body_of(config)
    if body is None:
        return []
    findings = []
    for name, rule in _RULES.items():
        found = rule(body)
        if found is not None:
            places, message = found
            more = f" and {len(places) - _SHOWN_PLACES} more" * (len(places) > _SHOWN_PLACES)
            where = ", ".join(places[:_SHOWN_PLACES]) + more
            findings.append(LintFinding(name, where, message))
    return findings


def refuse_lint(config: Config) -> None:
    """Raise ConfigError naming everything that lint finds, unless batch.lint is ignore."""
    findings = lint(config) if config.batch.lint == "refuse" else []
    if findings:
        lines = "\n".join(f"  {finding}" for finding in findings)
        raise ConfigError(
            f"model {config.model.id} would refuse every record, and say so only when the job has "
            f"run:\n{lines}\n  If this is no longer so, set batch.lint: ignore"
        )


def _body_of(config: Config) -> _Body | None:
    request = config.request
    if request.body_column is not None:
        return None
    family = family_of(config.model)
    model_id = bare_model_id(config.model.id)
    if request.body is not None:
        return _Body("request.body", request.body, model_id, family.name)
    return _Body("request", family.build(request), model_id, family.name)


def _model_id_inside(body: _Body) -> _Found:
    if "modelId" not in body.body:
        return None
    return [body.at("modelId")], "the model is the job's, not the record's; remove it"


def _tools_with_converse(body: _Body) -> _Found:
    # A later version of the batch inference page, and reports, say 400 for such records.
    if not body.is_converse or not body.body.get("toolConfig"):
        return None
    return [body.at("toolConfig")], (
        "batch inference refuses tools in records of the Converse type; use invocation: "
        "invoke_model with the model's own body"
    )


def _anthropic_version(body: _Body) -> _Found:
    said = body.body.get("anthropic_version")
    is_open = isinstance(said, str) and _PLACEHOLDER.search(said)
    is_claude = anthropic.PATTERN.fullmatch(body.model_id) and not body.is_converse
    if not (is_claude or body.family == "anthropic") or said == anthropic.VERSION or is_open:
        return None
    wrong = "is missing" if said is None else "is not what Bedrock takes"
    return [body.at("anthropic_version")], f"{wrong}; set it to {anthropic.VERSION}"


def _samplers(body: _Body) -> _Found:
    place, options = _options(body)
    given = [k for k in ("temperature", "top_p", "topP") if options.get(k) is not None]
    places = [f"{place}.{key}" for key in given]
    if given and NO_SAMPLER.fullmatch(body.model_id):
        return places, "this model takes neither temperature nor top_p; leave them out"
    if len(given) > 1 and ONE_SAMPLER.fullmatch(body.model_id):
        return places, "this model takes one of temperature and top_p, not both; leave one out"
    return None


def _caching(body: _Body) -> _Found:
    keys = ("cachePoint", "cache_control")
    places = [place for place, key, _ in _members(body.body, body.root) if key in keys]
    if not places:
        return None
    return places, "batch inference refuses prompt caching (403 for the record); remove it"


def _empty_text(body: _Body) -> _Found:
    places = [place for place, text in _texts(body) if not text.strip()]
    return (places, "is empty text, which models refuse; say something") if places else None


def _ceiling(body: _Body) -> _Found:
    most = next((n for models, n in CEILINGS if models.fullmatch(body.model_id)), None)
    if most is None:
        return None
    place, options = _options(body)
    above = [f"{place}.{key}" for key in _LIMITS if _is_above(options.get(key), most)]
    return (above, f"is more than the {most:,} tokens this model writes") if above else None


def _thinking_with_converse(body: _Body) -> _Found:
    extra = body.body.get("additionalModelRequestFields")
    if not body.is_converse or not isinstance(extra, Mapping) or "thinking" not in extra:
        return None
    return [body.at("additionalModelRequestFields", "thinking")], (
        "batch inference refuses it in records of the Converse type; use invocation: invoke_model "
        "with the model's own body"
    )


def _streaming(body: _Body) -> _Found:
    if body.body.get("stream") is not True:
        return None
    return [body.at("stream")], "a batch job does not stream; remove it"


def _text_only(body: _Body) -> _Found:
    places = _media_places(body, "image") + _media_places(body, "document")
    if not places or not nova.TEXT_ONLY.fullmatch(body.model_id):
        return None
    return places, "this model takes text only; ask one that takes images and documents"


def _documents_of_nova(body: _Body) -> _Found:
    places = _media_places(body, "document")
    is_nova = body.family == "nova" and not nova.TEXT_ONLY.fullmatch(body.model_id)
    if not places or not is_nova:
        return None
    return places, "Nova takes documents by Converse only; use invocation: converse"


_RULES: dict[str, _Rule] = {
    "model-id": _model_id_inside,
    "tools": _tools_with_converse,
    "anthropic-version": _anthropic_version,
    "samplers": _samplers,
    "caching": _caching,
    "empty-text": _empty_text,
    "max-tokens": _ceiling,
    "thinking": _thinking_with_converse,
    "stream": _streaming,
    "text-only": _text_only,
    "documents": _documents_of_nova,
}
RULES: tuple[str, ...] = tuple(_RULES)


def _options(body: _Body) -> tuple[str, Mapping[str, Any]]:
    """Return where the model's options stand: Nova and Converse have a section, others none."""
    held = body.body.get("inferenceConfig")
    if isinstance(held, Mapping):
        return body.at("inferenceConfig"), held
    return body.root, body.body


def _media_places(body: _Body, kind: str) -> list[str]:
    """Return where a body has blocks of this kind, as Nova and Converse name them."""
    written = [
        place
        for place, key, value in _members(body.body.get("messages"), body.at("messages"), _TOOLS)
        if key == kind and isinstance(value, Mapping)
    ]
    for _, _, value in _members(body.body, body.root):
        blocks = [b for b in value if isinstance(b, MediaBlocks)] if type(value) is list else ()
        written += [body.at(f"{kind}s") for b in blocks if getattr(b, f"{kind}s")]
    return written


def _is_above(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > most


def _members(value: Any, place: str, skip: tuple[str, ...] = ()) -> Iterator[tuple[str, str, Any]]:
    """Yield every member of every object in a JSON value: its place, key and value."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key not in skip:
                yield f"{place}.{key}", key, item
                yield from _members(item, f"{place}.{key}", skip)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _members(item, f"{place}[{i}]", skip)


def _texts(body: _Body) -> Iterator[tuple[str, str]]:
    """Yield every text that a model is asked about, with its place.

    A message's `content` counts where it is text and not beside a tool call, which needs none. What
    tools take and gave may use the same names for something else and is left out.
    """
    for place, key, value in _members(body.body, body.root, skip=_TOOLS):
        if key in _TEXTS and isinstance(value, str):
            yield place, value
        elif key == "texts" and isinstance(value, (list, tuple)):
            yield from ((f"{place}[{i}]", v) for i, v in enumerate(value) if isinstance(v, str))
    messages = body.body.get("messages")
    for i, message in enumerate(messages if isinstance(messages, (list, tuple)) else ()):
        content = message.get("content") if isinstance(message, Mapping) else None
        if isinstance(content, str) and not message.get("tool_calls"):
            yield f"{body.at('messages')}[{i}].content", content
