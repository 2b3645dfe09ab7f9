"""Find what the service would refuse in a request body, before any record is paid for.

A batch job does not check its records against the model before it runs: a wrong body fails in every
record, and this shows only when the job ends. Every rule is a fact that a user met on AWS or that
an AWS page states. If no rule is known for a model, the linter reports nothing. The service
changes, so `batch.lint: ignore` turns the rules off.

Only the text of the config is checked. A placeholder may become any value, and a body that comes
from a column is not read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bedrock_spark.config import Config
from bedrock_spark.families import anthropic, bare_model_id, family_of, nova
from bedrock_spark.families.media_blocks import MediaBlocks
from bedrock_spark.families.option_places import options_by_place

# The most output tokens that a request may ask for. Nova Micro, Llama 4: a public report on some 70
# batch jobs. Claude 3 Haiku: continuedev/continue #4225. R1: Amazon Bedrock user guide, "DeepSeek
# models".
CEILINGS: tuple[tuple[re.Pattern[str], int], ...] = (
    (re.compile(r"amazon\.nova-micro-.*"), 10_000),
    (re.compile(r"meta\.llama4-.*"), 8_192),
    (re.compile(r"anthropic\.claude-3-haiku-.*"), 4_096),
    (re.compile(r"deepseek\.r1-.*"), 32_768),
)
# The key of the length of vectors, and the lengths that a model can make. Bedrock user guide,
# "Amazon Titan Text Embeddings", "Amazon Titan Multimodal Embeddings G1", "Cohere Embed v4".
SIZES: tuple[tuple[re.Pattern[str], str, tuple[int, ...]], ...] = (
    (re.compile(r"amazon\.titan-embed-text-v2.*"), "dimensions", (256, 512, 1024)),
    (re.compile(r"amazon\.titan-embed-(g1-text-|text-v1).*"), "dimensions", ()),
    (re.compile(r"amazon\.titan-embed-image-.*"), "outputEmbeddingLength", (256, 384, 1024)),
    (re.compile(r"cohere\.embed-v4.*"), "output_dimension", (256, 512, 1024, 1536)),
    (re.compile(r"cohere\.embed-(english|multilingual)-.*"), "output_dimension", ()),
)
# Models that refuse temperature together with top_p. Sonnet 4.5 and Haiku 4.5: Amazon Bedrock user
# guide, "Anthropic Claude Messages API: Request and Response". Opus 4.1: open-webui/pipelines #546.
# Opus 4.5, Sonnet 4.6: aws-samples/bedrock-access-gateway #238. Opus 4.6 is assumed to be like 4.5.
ONE_SAMPLER = re.compile(r"anthropic\.claude-(opus-4-[156]|sonnet-4-[56]|haiku-4-5)(-.*)?")
# Models that refuse each of them. Opus 4.7 and 4.8 on Bedrock: NousResearch/hermes-agent #36151,
# aws-samples/bedrock-chat #1102. Sonnet 5 and later: Mintplex-Labs/anything-llm #5947,
# agnt5dev/sdk-core 0.3.7.
NO_SAMPLER = re.compile(r"anthropic\.claude-(opus-4-[78]|(opus|sonnet|haiku|fable)-[5-9])(-.*)?")

_TOKEN_KEYS = ("max_tokens", "max_completion_tokens", "max_gen_len", "maxTokens", "max_new_tokens")
_TEXT_KEYS = ("text", "prompt", "inputText", "message")
_TOOL_KEYS = ("tools", "toolConfig", "input", "json", "parameters")
_PLACEHOLDER = re.compile(r"\{[{%]")
_SHOWN_PLACES = 3


@dataclass(frozen=True)
class LintFinding:
    """A fault in the config that one rule found.

    where: the key paths of the fault
    message: what is wrong, and what to do
    """

    rule: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


@dataclass(frozen=True)
class _Body:
    """A body template, before it is compiled.

    options: the user's key for each key path of a body that a family has built
    """

    root: str
    body: Mapping[str, Any]
    model_id: str
    family: str
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_converse(self) -> bool:
        return self.family == "converse"

    def path(self, *keys: str) -> str:
        return ".".join((self.root, *keys))

    def named(self, places: list[str]) -> list[str]:
        """Return key paths that the user's config has."""
        return list(dict.fromkeys(self.options.get(place, place) for place in places))


# A rule returns the key paths of a fault and its message, or None.
_Fault = tuple[list[str], str] | None
_Rule = Callable[[_Body], _Fault]


def lint(config: Config) -> list[LintFinding]:
    """Return the faults of this config's body that the service would refuse, at most one per rule.

    Raises ConfigError if no body can be built.
    """
    body = _body_of(config)
    if body is None:
        return []
    findings = []
    for name, rule in _RULES.items():
        fault = rule(body)
        if fault is not None:
            places, message = body.named(fault[0]), fault[1]
            more = f" and {len(places) - _SHOWN_PLACES} more" * (len(places) > _SHOWN_PLACES)
            where = ", ".join(places[:_SHOWN_PLACES]) + more
            findings.append(LintFinding(name, where, message))
    return findings


def _body_of(config: Config) -> _Body | None:
    request = config.request
    if request.body_column is not None:
        return None
    family = family_of(config.model)
    model_id = bare_model_id(config.model.id)
    if request.body is not None:
        return _Body("request.body", request.body, model_id, family.name)
    options = options_by_place(family, request)
    return _Body("request", family.build(request), model_id, family.name, options)


def _model_id_inside(body: _Body) -> _Fault:
    if "modelId" not in body.body:
        return None
    return [body.path("modelId")], "the model is set by the job, not by a record; remove it"


def _tools_with_converse(body: _Body) -> _Fault:
    # A later version of the batch inference page, and users' reports, say 400 for such records.
    if not body.is_converse or not body.body.get("toolConfig"):
        return None
    return [body.path("toolConfig")], (
        "batch inference refuses tools in records of the Converse type; use invocation: "
        "invoke_model with the model's own body"
    )


def _anthropic_version(body: _Body) -> _Fault:
    version = body.body.get("anthropic_version")
    is_open = isinstance(version, str) and _PLACEHOLDER.search(version)
    is_claude = anthropic.PATTERN.fullmatch(body.model_id) and not body.is_converse
    if not (is_claude or body.family == "anthropic") or version == anthropic.VERSION or is_open:
        return None
    fault = "is missing" if version is None else "is not the version that Bedrock takes"
    return [body.path("anthropic_version")], f"{fault}; set it to {anthropic.VERSION}"


def _samplers(body: _Body) -> _Fault:
    place, options = _options(body)
    samplers = [k for k in ("temperature", "top_p", "topP") if options.get(k) is not None]
    places = [f"{place}.{key}" for key in samplers]
    if samplers and NO_SAMPLER.fullmatch(body.model_id):
        return places, "this model takes neither temperature nor top_p; leave them out"
    if len(samplers) > 1 and ONE_SAMPLER.fullmatch(body.model_id):
        return places, "this model takes one of temperature and top_p, not both; leave one out"
    return None


def _caching(body: _Body) -> _Fault:
    keys = ("cachePoint", "cache_control")
    places = [place for place, key, _ in _members(body.body, body.root) if key in keys]
    if not places:
        return None
    return places, "batch inference refuses prompt caching (403 for the record); remove it"


def _empty_text(body: _Body) -> _Fault:
    places = [place for place, text in _texts(body) if not text.strip()]
    return (places, "is empty text, which models refuse; write some text") if places else None


def _ceiling(body: _Body) -> _Fault:
    ceiling = next((n for models, n in CEILINGS if models.fullmatch(body.model_id)), None)
    if ceiling is None:
        return None
    place, options = _options(body)
    above = [f"{place}.{key}" for key in _TOKEN_KEYS if _is_above(options.get(key), ceiling)]
    return (above, f"is more than the {ceiling:,} tokens this model can write") if above else None


def _thinking_with_converse(body: _Body) -> _Fault:
    extra = body.body.get("additionalModelRequestFields")
    if not body.is_converse or not isinstance(extra, Mapping) or "thinking" not in extra:
        return None
    return [body.path("additionalModelRequestFields", "thinking")], (
        "batch inference refuses it in records of the Converse type; use invocation: invoke_model "
        "with the model's own body"
    )


def _streaming(body: _Body) -> _Fault:
    if body.body.get("stream") is not True:
        return None
    return [body.path("stream")], "a batch job does not stream; remove it"


def _text_only(body: _Body) -> _Fault:
    places = _media_places(body, "image") + _media_places(body, "document")
    if not places or not nova.TEXT_ONLY.fullmatch(body.model_id):
        return None
    return places, "this model takes text only; use one that takes images and documents"


def _documents_of_nova(body: _Body) -> _Fault:
    places = _media_places(body, "document")
    is_nova = body.family == "nova" and not nova.TEXT_ONLY.fullmatch(body.model_id)
    if not places or not is_nova:
        return None
    return places, "Nova takes documents through Converse only; use invocation: converse"


def _dimensions(body: _Body) -> _Fault:
    for models, key, sizes in SIZES:
        if not models.fullmatch(body.model_id):
            continue
        found = [(place, v) for place, k, v in _members(body.body, body.root) if k == key]
        wrong = [place for place, v in found if type(v) is int and v not in sizes]
        if wrong and not sizes:
            return wrong, "the vectors of this model have one length only; remove it"
        if wrong:
            return wrong, f"this model's vectors have {', '.join(map(str, sizes))} numbers"
    return None


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
    "dimensions": _dimensions,
}
RULES: tuple[str, ...] = tuple(_RULES)


def _options(body: _Body) -> tuple[str, Mapping[str, Any]]:
    """Return the key path and the members of the model's options: a section, or the whole body."""
    section = body.body.get("inferenceConfig")
    if isinstance(section, Mapping):
        return body.path("inferenceConfig"), section
    return body.root, body.body


def _media_places(body: _Body, kind: str) -> list[str]:
    """Return the key paths of `image` or `document` blocks, in the form of Nova and Converse."""
    messages = _members(body.body.get("messages"), body.path("messages"), _TOOL_KEYS)
    places = [p for p, key, value in messages if key == kind and isinstance(value, Mapping)]
    for _, _, value in _members(body.body, body.root):
        blocks = [b for b in value if isinstance(b, MediaBlocks)] if type(value) is list else ()
        places += [body.path(f"{kind}s") for b in blocks if getattr(b, f"{kind}s")]
    return places


def _is_above(value: Any, ceiling: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > ceiling


def _members(value: Any, place: str, skip: tuple[str, ...] = ()) -> Iterator[tuple[str, str, Any]]:
    """Yield every member of every object in a JSON value: its key path, key and value.

    skip: the keys of members to leave out, with all that is below them
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key not in skip:
                yield f"{place}.{key}", key, item
                yield from _members(item, f"{place}.{key}", skip)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _members(item, f"{place}[{i}]", skip)


def _texts(body: _Body) -> Iterator[tuple[str, str]]:
    """Yield every text that a model reads, with its key path.

    A message's `content` counts if it is text and the message has no tool call, which needs no
    text. Inputs and outputs of tools may use the same keys for other things, so they are left out.
    """
    for place, key, value in _members(body.body, body.root, skip=_TOOL_KEYS):
        if key in _TEXT_KEYS and isinstance(value, str):
            yield place, value
        elif key == "texts" and isinstance(value, (list, tuple)):
            yield from ((f"{place}[{i}]", v) for i, v in enumerate(value) if isinstance(v, str))
    messages = body.body.get("messages")
    for i, message in enumerate(messages if isinstance(messages, (list, tuple)) else ()):
        content = message.get("content") if isinstance(message, Mapping) else None
        if isinstance(content, str) and not message.get("tool_calls"):
            yield f"{body.path('messages')}[{i}].content", content
