"""A conversation with a chat model: its turns, and the request of the next question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import msgspec
from pydantic import ValidationError

from bedrock_spark.aws.model_family import ServedModel
from bedrock_spark.config import RequestConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import Family, bare_model_id, family_by_name
from bedrock_spark.families.turns import Turn
from bedrock_spark.playground.attached import AttachedFile, Files, refuse_files, with_files
from bedrock_spark.playground.options import DEFAULT_MAX_TOKENS, OPTIONS


@dataclass(frozen=True)
class Conversation:
    """The turns so far, and the options of every request.

    model: its family builds the requests
    options: of `request` in a config, by name, but for the prompt: system, max_tokens, tools, …
    """

    model: ServedModel
    options: Mapping[str, Any]
    turns: tuple[Turn, ...] = ()

    def body(self, question: str) -> bytes:
        """Return the request for the next question. Raises ConfigError for an option."""
        return build_body(self.model, question, self.options, self.turns)

    def after(self, question: str, answer: str) -> Conversation:
        """Return the conversation with one more turn; the same one if a text of it is blank.

        The service refuses blank texts in earlier turns. An answer may have no text: if it is a
        tool call, or if reasoning used up its tokens.
        """
        if not question.strip() or not answer.strip():
            return self
        return replace(self, turns=(*self.turns, Turn(question, answer)))

    def without_turns(self) -> Conversation:
        """Return a new conversation with the same options."""
        return replace(self, turns=())

    def with_options(self, **options: Any) -> Conversation:
        """Return the conversation with other options; None takes one away."""
        changed = {**self.options, **options}
        return replace(self, options={k: v for k, v in changed.items() if v is not None})


def chat_model(model: ServedModel) -> ServedModel:
    """Return the model as a conversation asks it: by its family, or by Converse.

    Converse takes the place of a family whose body has no place for earlier turns. Raises
    ConfigError if the model does not chat.
    """
    if model.family.chat_builder is not None:
        return model
    if not is_chat(model.family):
        raise ConfigError(f"{model.id}: models of the family {model.family.name} do not chat")
    note = f"requests of the family {model.family.name} have no earlier turns: asked by Converse"
    return replace(model, family=family_by_name("converse"), note=note)


def is_chat(family: Family) -> bool:
    """Tell whether the models of a family answer with text."""
    return family.read_chunk is not None


def build_body(
    model: ServedModel, question: str, options: Mapping[str, Any], turns: Sequence[Turn] = ()
) -> bytes:
    """Return the request of a question as JSON; see `question_body`."""
    return msgspec.json.encode(question_body(model, question, options, turns))


def question_body(
    model: ServedModel,
    question: str,
    options: Mapping[str, Any],
    turns: Sequence[Turn] = (),
    files: Sequence[AttachedFile] = (),
    known: Files = MappingProxyType({}),
) -> dict[str, Any]:
    """Return the request of a question. The bytes of files in it are still bytes.

    options: those of OPTIONS, as `request` in a config has them; None is not set. Without
        `max_tokens`, an answer of text has at most 2,048
    turns: the earlier turns of the conversation, whose images and documents are ids of `known`
    files: those of the question, which are in `known`, too
    Raises ConfigError for an option that the family does not take, for a wrong value, and for a
    file that the model does not take.
    """
    bare_id = bare_model_id(model.base)
    earlier = (name for turn in turns for name in (*turn.images, *turn.documents))
    refuse_files([*(known[name] for name in earlier), *files], model.family, bare_id)
    unknown = sorted(options.keys() - set(OPTIONS))
    if unknown:
        raise ConfigError(
            f"{unknown[0]}: is no option of a question; there are {', '.join(OPTIONS)}"
        )
    given = {name: value for name, value in options.items() if value is not None}
    if is_chat(model.family):
        given.setdefault("max_tokens", DEFAULT_MAX_TOKENS)
    try:
        request = RequestConfig.model_validate(
            {
                **given,
                "prompt": question,
                "images": [file.id for file in files if file.is_image],
                "documents": [file.id for file in files if not file.is_image],
            }
        )
    except ValidationError as exc:
        raise ConfigError("\n".join(_problems(exc))) from None
    body = model.family.build(request, bare_id, turns)
    return with_files(body, known, model.family.limits_of(bare_id).max_images)


def _problems(exc: ValidationError) -> Iterator[str]:
    """Yield what is wrong with each option, without its value."""
    for error in exc.errors(include_input=False, include_url=False):
        key = ".".join(str(step) for step in ("request", *error["loc"]))
        yield f"{key}: {error['msg'].removeprefix('Value error, ')}"
