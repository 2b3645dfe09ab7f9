"""The rules of the linter: each is a fact that a user met on AWS or that an AWS page states.

A rule looks at one body, a template or one that was rendered from a row. If no rule is known for a
model, nothing is found. A placeholder may become any value, so it is no fault.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bedrock_spark.families import anthropic, nova, ways
from bedrock_spark.families.ceilings import KEYS, known_limit
from bedrock_spark.families.claude_models import claude_model
from bedrock_spark.families.lint_body import Body, Fault, Rule, is_open, options_of
from bedrock_spark.families.lint_thinking import THINKING_RULES, asks_to_think
from bedrock_spark.families.media_blocks import MediaBlocks
from bedrock_spark.families.schema_lint import body_faults
from bedrock_spark.families.text_places import TEXT_KEYS, TOOL_KEYS, members, messages, texts

# The key of the length of vectors, and the lengths that a model can make. Bedrock user guide,
# "Amazon Titan Text Embeddings", "Amazon Titan Multimodal Embeddings G1", "Cohere Embed v4"; Amazon
# Nova user guide, "Complete embeddings request and response schema".
SIZES: tuple[tuple[re.Pattern[str], str, tuple[int, ...]], ...] = (
    (re.compile(r"amazon\.titan-embed-text-v2.*"), "dimensions", (256, 512, 1024)),
    (re.compile(r"amazon\.titan-embed-(g1-text-|text-v1).*"), "dimensions", ()),
    (re.compile(r"amazon\.titan-embed-image-.*"), "outputEmbeddingLength", (256, 384, 1024)),
    (re.compile(r"amazon\.nova-.*embeddings.*"), "embeddingDimension", (256, 384, 1024, 3072)),
    (re.compile(r"cohere\.embed-v4.*"), "output_dimension", (256, 512, 1024, 1536)),
    (re.compile(r"cohere\.embed-(english|multilingual)-.*"), "output_dimension", ()),
)
# The members of a body that ask for prompt caching: of Converse and Nova, and of Claude.
CACHE_KEYS = ("cachePoint", "cache_control")
_TAKES_FORMAT = re.compile(f"{ways.CLAUDE.pattern}|{ways.CLAUDE_5.pattern}")

_COHERE_V3 = re.compile(r"cohere\.embed-(english|multilingual)-v3.*")


def _model_id_inside(body: Body) -> Fault:
    if "modelId" not in body.body:
        return None
    return [body.path("modelId")], "the model is set by the job, not by a record; remove it"


def _tools_with_converse(body: Body) -> Fault:
    # A later version of the batch inference page, and users' reports, say 400 for such records.
    if not body.is_converse or not body.body.get("toolConfig"):
        return None
    return [body.path("toolConfig")], (
        "batch inference refuses tools in records of the Converse type; use invocation: "
        "invoke_model with the model's own body"
    )


def _anthropic_version(body: Body) -> Fault:
    version = body.body.get("anthropic_version")
    is_claude = anthropic.PATTERN.fullmatch(body.model_id) and not body.is_converse
    if not (is_claude or body.family is anthropic.FAMILY):
        return None
    if version == anthropic.VERSION or is_open(version):
        return None
    fault = "is missing" if version is None else "is not the version that Bedrock takes"
    return [body.path("anthropic_version")], f"{fault}; set it to {anthropic.VERSION}"


def _samplers(body: Body) -> Fault:
    model = claude_model(body.model_id)
    if model is None:
        return None
    place, options = options_of(body)
    samplers = [k for k in ("temperature", "top_p", "topP") if options.get(k) is not None]
    if model.refuses_samplers:
        samplers += [k for k in ("top_k", "topK") if options.get(k) is not None]
    places = [f"{place}.{key}" for key in samplers]
    if samplers and model.refuses_samplers:
        return places, "this model takes none of temperature, top_p and top_k; leave them out"
    if len(samplers) > 1 and model.takes_one_sampler:
        return places, "this model takes one of temperature and top_p, not both; leave one out"
    return None


def _caching(body: Body) -> Fault:
    # The members of a schema may have any name.
    found = members(body.body, body.root, ("properties",))
    places = [place for place, key, _ in found if key in CACHE_KEYS]
    if not places:
        return None
    return places, "batch inference refuses prompt caching (403 for the record); remove it"


def _empty_text(body: Body) -> Fault:
    places = [place for place, text in texts(body.body, body.root) if not text.strip()]
    return (places, "is empty text, which models refuse; write some text") if places else None


def _ceiling(body: Body) -> Fault:
    ceiling = known_limit(body.model_id)
    if ceiling is None:
        return None
    place, options = options_of(body)
    above = [f"{place}.{key}" for key in KEYS if _is_above(options.get(key), ceiling)]
    return (above, f"is more than the {ceiling:,} tokens this model can write") if above else None


def _streaming(body: Body) -> Fault:
    if body.body.get("stream") is not True:
        return None
    return [body.path("stream")], "a batch job does not stream; remove it"


def _text_only(body: Body) -> Fault:
    places = _media_places(body, "image") + _media_places(body, "document")
    if places and _COHERE_V3.fullmatch(body.model_id):
        return places, "this model takes no text with images; use cohere.embed-v4:0"
    if not places or not nova.TEXT_ONLY.fullmatch(body.model_id):
        return None
    return places, "this model takes text only; use one that takes images and documents"


def _documents_of_nova(body: Body) -> Fault:
    places = _media_places(body, "document")
    is_nova = body.family is nova.FAMILY and not nova.TEXT_ONLY.fullmatch(body.model_id)
    if not places or not is_nova:
        return None
    return places, "Nova takes documents through Converse only; use invocation: converse"


def _dimensions(body: Body) -> Fault:
    for models, key, sizes in SIZES:
        if not models.fullmatch(body.model_id):
            continue
        found = [(place, v) for place, k, v in members(body.body, body.root) if k == key]
        wrong = [place for place, v in found if type(v) is int and v not in sizes]
        if wrong and not sizes:
            return wrong, "the vectors of this model have one length only; remove it"
        if wrong:
            return wrong, f"this model's vectors have {', '.join(map(str, sizes))} numbers"
    return None


def _temperature(body: Body) -> Fault:
    most, (place, options) = body.family.max_temperature, options_of(body)
    if most is None or not _is_outside(options.get("temperature"), most):
        return None
    return [f"{place}.temperature"], f"must be a number from 0 to {most:g} for this model"


def _roles(body: Body) -> Fault:
    known = body.family.roles
    if known is None:
        return None
    places = [
        body.path(f"messages[{i}]", "role")
        for i, message in enumerate(messages(body.body))
        if "role" in message and not is_open(message["role"]) and message["role"] not in known
    ]
    if not places:
        return None
    return places, f"must be {' or '.join(known)}; a system prompt goes into system"


def _image_urls(body: Body) -> Fault:
    if body.family.roles is None:  # other families may take them
        return None
    found = members(body.body.get("messages"), body.path("messages"), TOOL_KEYS)
    places = [place for place, key, _ in found if key == "image_url"]
    if not places:
        return None
    return places, (
        "is a part of another API, which this model refuses; name the images in request.images, or "
        "write the part as the model's own API has it"
    )


def _text_type(body: Body) -> Fault:
    # The text of guarded content in Converse is an object, and that of Nova's embeddings, too.
    skipped = (*TOOL_KEYS, "guardContent", "singleEmbeddingParams")
    found = members(body.body, body.root, skipped)
    places = [
        place
        for place, key, value in found
        if key in TEXT_KEYS and isinstance(value, (list, tuple, Mapping, int, float))
    ]
    if not places or not body.family.reads_answers:
        return None
    return places, "must be a text; write one record for each text"


def _schema(body: Body) -> Fault:
    config = body.body.get("output_config")
    has_format = isinstance(config, Mapping) and "format" in config
    is_claude = body.model_id.startswith("anthropic.") and not body.is_converse
    if has_format and is_claude and not _TAKES_FORMAT.fullmatch(body.model_id):
        return [body.path("output_config", "format")], (
            "this model takes none; write the schema as request.schema, which becomes a tool"
        )
    # A body that was built from options has the root `request`.
    faults = body_faults(body.body, body.model_id, is_built=body.root == "request")
    if not faults:
        return None
    places: dict[str, list[str]] = {}
    for fault in faults:
        places.setdefault(fault.message, []).append(fault.place)
    first, *others = places
    also = [f"{', '.join(places[message])}: {message}" for message in others]
    return [body.path(place) for place in places[first]], "; also: ".join([first, *also])


def _forced_tool(body: Body) -> Fault:
    # Reported for Claude 4 to 4.6 on Bedrock: pydantic/pydantic-ai #3092, vercel/ai #17729. Models
    # that always think take no forced tool at all (supports_forced_tool_use in litellm's table).
    choice, model = body.body.get("tool_choice"), claude_model(body.model_id)
    if not isinstance(choice, Mapping) or choice.get("type") not in ("any", "tool"):
        return None
    if model is not None and model.always_thinks:
        return [body.path("tool_choice")], (
            "this model always thinks, so no tool may be forced; let the model choose the tool"
        )
    if not asks_to_think(body):
        return None
    return [body.path("tool_choice"), body.path("thinking")], (
        "thinking may not be enabled if a tool must be called; leave thinking out, or let the "
        "model choose the tool"
    )


RULES: dict[str, Rule] = {
    "model-id": _model_id_inside,
    "tools": _tools_with_converse,
    "anthropic-version": _anthropic_version,
    "samplers": _samplers,
    "caching": _caching,
    "empty-text": _empty_text,
    "max-tokens": _ceiling,
    **THINKING_RULES,
    "stream": _streaming,
    "text-only": _text_only,
    "documents": _documents_of_nova,
    "dimensions": _dimensions,
    "temperature": _temperature,
    "roles": _roles,
    "image-url": _image_urls,
    "text-type": _text_type,
    "schema": _schema,
    "forced-tool": _forced_tool,
}


def _media_places(body: Body, kind: str) -> list[str]:
    """Return the key paths of `image` or `document` blocks, in the form of Nova and Converse."""
    found = members(body.body.get("messages"), body.path("messages"), TOOL_KEYS)
    places = [p for p, key, value in found if key == kind and isinstance(value, Mapping)]
    for _, _, value in members(body.body, body.root):
        blocks = [b for b in value if isinstance(b, MediaBlocks)] if type(value) is list else ()
        places += [body.path(f"{kind}s") for b in blocks if getattr(b, f"{kind}s")]
    return places


def _is_outside(value: Any, most: float) -> bool:
    if value is None or is_open(value):
        return False
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return not (is_number and 0 <= value <= most)


def _is_above(value: Any, ceiling: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > ceiling
