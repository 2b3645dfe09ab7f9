"""The answer script: answers that somebody wrote, for the requests that its rules match.

The first rule that matches a request answers it. Requests that no rule matches are answered as if
there were no script. A script is checked when it is read, and can be replaced at any time.
"""

from __future__ import annotations

import fnmatch
import json
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, PositiveInt, field_validator, model_validator

from bedrock_emulator.answers.deterministic import cut
from bedrock_emulator.answers.pieces import pieces_of
from bedrock_emulator.answers.prompt import Backend, Completion, Pieces, Prompt, ToolCall
from bedrock_emulator.answers.thinking import think_first
from bedrock_emulator.answers.tokens import count_tokens, tokens_of_call
from bedrock_emulator.errors import ServiceError
from bedrock_emulator.scripts import Expression, ScriptModel, check_expression, read_script
from bedrock_emulator.state.draws import draw
from bedrock_emulator.state.paid_answers import request_digest

_STEP = re.compile(r"[^.\[\]]+")
_ABSENT = object()
_REFUSAL = "I cannot help with that."


class ScriptedTool(ScriptModel):
    """A tool call."""

    name: str
    input: dict[str, Any] = Field(default_factory=dict)


class ScriptedError(ScriptModel):
    """An error of the runtime; in a batch job, an error of the record with the same status."""

    code: str
    message: str = "An error of the answer script."

    @field_validator("code")
    @classmethod
    def _is_known(cls, code: str) -> str:
        from bedrock_emulator.wire.service_model import error_statuses

        if code not in error_statuses():
            raise ValueError(f"{code} is no error of Bedrock, such as ThrottlingException")
        return code


class AnswerRule(ScriptModel):
    """What a request must have, and how it is answered then. A rule without conditions matches all.

    model: a pattern of model ids
    match: a regular expression, searched in the text of the prompt, system prompt included
    body: values at paths of the request's body, such as `messages[0].role` or `top_k`; a text is a
        regular expression
    share: the share of matching requests that the rule is for, drawn by their bodies
    times: how often the rule answers one body
    text: the answer; what is no text is written as JSON
    thinks: tokens of reasoning before the answer, which count against its limit of tokens
    refuses: whether the model declines, with the text if there is one
    delay_seconds: real seconds before the answer of a call; batch jobs do not wait
    piece_seconds: real seconds before each piece of a stream
    """

    model: str = "*"
    match: Expression = ""
    body: dict[str, Any] = Field(default_factory=dict)
    share: float = Field(default=1.0, ge=0, le=1)
    times: PositiveInt | None = None
    text: Any = None
    tool: ScriptedTool | None = None
    thinks: int = Field(default=0, ge=0, le=1_000_000)
    refuses: bool = False
    error: ScriptedError | None = None
    delay_seconds: float = Field(default=0.0, ge=0, le=600)
    piece_seconds: float = Field(default=0.0, ge=0, le=600)

    @model_validator(mode="after")
    def _answers_once(self) -> AnswerRule:
        answers = [n for n in ("text", "tool", "error") if getattr(self, n) is not None]
        others = self.delay_seconds or self.thinks or self.refuses
        if len(answers) > 1 or not (answers or others):
            raise ValueError(
                "give one of text, tool and error, or thinks, refuses or delay_seconds alone"
            )
        if self.error is not None and (self.thinks or self.refuses):
            raise ValueError("an error neither thinks nor refuses")
        if self.tool is not None and self.refuses:
            raise ValueError("a refusal calls no tool")
        for value in self.body.values():
            if isinstance(value, str):
                check_expression(value)
        return self

    @property
    def needs_prompt(self) -> bool:
        """Whether the rule gives an answer that an embedding cannot be."""
        return any((self.text is not None, self.tool, self.thinks, self.refuses))

    def fits(self, model_id: str, text: str, body: Any) -> bool:
        """Return whether a request meets the conditions, but for `share` and `times`."""
        return (
            fnmatch.fnmatchcase(model_id, self.model)
            and re.search(self.match, text) is not None
            and all(_has(body, path, value) for path, value in self.body.items())
        )


class Answers(ScriptModel):
    """The whole script. An empty one answers nothing."""

    answers: tuple[AnswerRule, ...] = ()


def read_answers(source: dict[str, Any] | Path | str | None) -> Answers:
    """Read an answer script, as `read_script` does."""
    return read_script(Answers, source)


class AnswerScript:
    """The script in force, and how often its rules have answered each body."""

    def __init__(self, script: Answers, seed: int) -> None:
        self._lock = threading.Lock()
        self._seed = seed
        self.replace(script)

    def replace(self, script: Answers) -> None:
        """Put another script in the place of this one."""
        with self._lock:
            self._script = script
            self._used: Counter[int] = Counter()
            self._used_by_body: Counter[tuple[int, bytes]] = Counter()

    def report(self) -> dict[str, Any]:
        """Return the script, each rule with `used`: how many requests it has answered."""
        with self._lock:
            rules = [rule.model_dump(mode="json") for rule in self._script.answers]
            return {"answers": [{**r, "used": self._used[i]} for i, r in enumerate(rules)]}

    def backend(self, backend: Backend, body: Any, *, waits: bool) -> Backend:
        """Return what answers a request with this body: `backend`, if there are no rules."""
        return _Scripted(self, backend, body, waits) if self._script.answers else backend

    def rule_for(
        self, model_id: str, text: str, body: Any, *, is_prompt: bool
    ) -> AnswerRule | None:
        """Return the first rule that matches a request, None if none does; it counts as used."""
        digest = None
        for index, rule in enumerate(self._script.answers):
            if (rule.needs_prompt and not is_prompt) or not rule.fits(model_id, text, body):
                continue
            if rule.share < 1 or rule.times is not None:
                digest = digest or request_digest(body, is_converse=True)
                if draw(self._seed, "answer", index, digest.hex()) >= rule.share:
                    continue
            with self._lock:
                if rule.times is not None and digest is not None:
                    if self._used_by_body[index, digest] >= rule.times:
                        continue
                    self._used_by_body[index, digest] += 1
                self._used[index] += 1
            return rule
        return None


@dataclass(frozen=True)
class _Scripted:
    """Implements `Backend` for one request: by the script, or else by the backend behind it."""

    script: AnswerScript
    behind: Backend
    body: Any
    waits: bool

    def complete(self, model_id: str, prompt: Prompt) -> Completion:
        rule = self._rule(model_id, prompt)
        if rule is None:
            return self.behind.complete(model_id, prompt)
        return self._follow(rule, model_id, prompt)

    def stream(self, model_id: str, prompt: Prompt) -> Pieces:
        rule = self._rule(model_id, prompt)
        if rule is None:
            return self.behind.stream(model_id, prompt)
        return _paced(pieces_of(self._follow(rule, model_id, prompt)), rule.piece_seconds)

    def _rule(self, model_id: str, prompt: Prompt) -> AnswerRule | None:
        """Return the rule that answers, after its delay; None if the backend behind answers."""
        rule = self.script.rule_for(model_id, prompt.text.strip(), self.body, is_prompt=True)
        self._delay_or_fail(rule)
        return rule if rule is not None and rule.needs_prompt else None

    def _follow(self, rule: AnswerRule, model_id: str, prompt: Prompt) -> Completion:
        if not rule.thinks:
            return self._answer(rule, model_id, prompt)
        return think_first(rule.thinks, prompt, lambda rest: self._answer(rule, model_id, rest))

    def _answer(self, rule: AnswerRule, model_id: str, prompt: Prompt) -> Completion:
        """Return what a rule answers after the reasoning."""
        input_tokens = count_tokens(prompt.text)
        if rule.refuses:
            text = _as_text(rule.text) if rule.text is not None else _REFUSAL
            return Completion(text, input_tokens, count_tokens(text), "refusal")
        if rule.text is None and rule.tool is None:
            return self.behind.complete(model_id, prompt)
        if rule.tool is not None:
            digest = request_digest(self.body, is_converse=True).hex()
            call = ToolCall(f"tooluse_{digest[:22]}", rule.tool.name, rule.tool.input)
            output_tokens = tokens_of_call(call.name, call.input)
            return Completion("", input_tokens, output_tokens, "tool", None, (call,))
        return cut(_as_text(rule.text), prompt, input_tokens)

    def embed(self, model_id: str, text: str, dimensions: int) -> list[float]:
        self._delay_or_fail(self.script.rule_for(model_id, text, self.body, is_prompt=False))
        return self.behind.embed(model_id, text, dimensions)

    def _delay_or_fail(self, rule: AnswerRule | None) -> None:
        if rule is None:
            return
        if self.waits and rule.delay_seconds:
            time.sleep(rule.delay_seconds)
        if rule.error is not None:
            raise ServiceError(rule.error.code, rule.error.message)


def _paced(pieces: Pieces, seconds: float) -> Pieces:
    for piece in pieces:
        if seconds:
            time.sleep(seconds)
        yield piece


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _has(body: Any, path: str, expected: Any) -> bool:
    value = _at(body, path)
    if value is _ABSENT:
        return False
    if isinstance(expected, str):
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        return re.search(expected, text) is not None
    return bool(value == expected)


def _at(value: Any, path: str) -> Any:
    for step in _STEP.findall(path):
        if isinstance(value, dict):
            value = value.get(step, _ABSENT)
        elif isinstance(value, list) and step.lstrip("-").isdigit():
            index = int(step)
            value = value[index] if -len(value) <= index < len(value) else _ABSENT
        else:
            return _ABSENT
    return value
