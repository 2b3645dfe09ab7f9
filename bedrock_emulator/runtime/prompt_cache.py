"""Prompt caching: which tokens of a request are read from a cache, and which are written to it.

A request marks where a prefix of its prompt ends: tools first, then system prompt and messages.
A prefix that is long enough is kept for five minutes or an hour after its last use. A Claude also
finds a shorter prefix, some blocks before the mark. A prefix that is too short is not cached, and
that is no error. Amazon Bedrock user guide, "Prompt caching for faster model inference", and the
model cards; Claude docs, "Prompt caching", for the newest models.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from bedrock_emulator.answers.prompt import Backend, CacheTokens, Completion, Pieces, Prompt
from bedrock_emulator.answers.tokens import count_tokens
from bedrock_emulator.errors import ServiceError, invalid
from bedrock_emulator.families.content import text_of
from bedrock_emulator.state.clock import Clock

# The least tokens of a prefix; the first pattern that fits a model counts.
_LEAST_TOKENS = (
    (re.compile(r"anthropic\.claude-(haiku-4-5|opus-4-[56]).*"), 4096),
    (re.compile(r"anthropic\.claude-(3-5-haiku|opus-4-7).*"), 2048),
    (re.compile(r"anthropic\.claude-(opus-5|fable-5|mythos-5).*"), 512),
    (re.compile(r"anthropic\.claude-(3-5-sonnet-20241022|3-7-|sonnet-|opus-|haiku-).*"), 1024),
    (re.compile(r"amazon\.nova-(micro|lite|pro|premier|2-lite).*"), 1000),
)
# In bodies of their own. In Converse, every model may be asked with marks.
_TAKES_MARKS = re.compile(r"anthropic\.|amazon\.nova-(micro|lite|pro|premier|2-lite)")
_SECONDS = {"5m": 300.0, "1h": 3600.0}
_MOST_MARKS = 4
_LOOKS_BACK = 20
_MOST_ENTRIES = 10_000
# Users quote it: BerriAI/litellm #39210.
_UNSUPPORTED = (
    "You invoked an unsupported model or your request did not allow prompt caching. See the "
    "documentation for more information."
)


@dataclass(frozen=True)
class _Prefix:
    """A prompt up to the end of a block.

    tokens: all of them; text_tokens: those that count as input of the answer, which has no tools
    ttl: set if the request marks the end of this prefix
    """

    digest: bytes
    tokens: int
    text_tokens: int
    ttl: str | None


@dataclass(frozen=True)
class _Use:
    """What a request reads and writes, and what it leaves in the cache: lifetimes by key."""

    tokens: CacheTokens
    text_tokens: int
    kept: dict[bytes, float] = field(default_factory=dict)


class PromptCache:
    """The prefixes that were used lately. Safe to use from many threads.

    At most 10,000 are kept, those that were used last.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._ends: OrderedDict[bytes, float] = OrderedDict()

    def caching(
        self,
        behind: Backend,
        scope: str,
        model_id: str,
        body: dict[str, Any],
        *,
        is_converse: bool,
    ) -> Caching | None:
        """Return what answers a request and counts the tokens of its cache.

        None if the model has no prompt caching; raise AccessDeniedException if the request marks a
        prefix for such a model, and ValidationException for a mark where the model takes none.

        scope: prefixes of two scopes have nothing in common; body: that the model takes
        """
        if not is_converse and not _TAKES_MARKS.match(model_id):
            return None
        prefixes = list(_prefixes(body, f"{scope}/{model_id}"))
        marks = sum(prefix.ttl is not None for prefix in prefixes)
        least = next((n for models, n in _LEAST_TOKENS if models.fullmatch(model_id)), None)
        if least is None and marks:
            raise ServiceError("AccessDeniedException", _UNSUPPORTED)
        if least is None:
            return None
        is_claude = model_id.startswith("anthropic.")
        _check(body, marks, is_claude=is_claude)
        return Caching(behind, self, prefixes, least, _LOOKS_BACK if is_claude else 0)

    def use(self, prefixes: list[_Prefix], least: int, looks_back: int) -> _Use:
        """Return what a request takes from the cache and adds to it."""
        marked = [i for i, p in enumerate(prefixes) if p.ttl is not None and p.tokens >= least]
        if not marked:
            return _Use(CacheTokens(), 0)
        candidates = {j for i in marked for j in range(max(0, i - looks_back), i + 1)}
        now = self._clock.now()
        with self._lock:
            found = [i for i in candidates if self._ends.get(prefixes[i].digest, now) > now]
        read = prefixes[max(found)].tokens if found else 0
        written, at = {"5m": 0, "1h": 0}, read
        for i in marked:
            written[str(prefixes[i].ttl)] += max(0, prefixes[i].tokens - at)
            at = max(at, prefixes[i].tokens)
        kept = {prefixes[i].digest: _SECONDS[str(prefixes[i].ttl)] for i in marked}
        tokens = CacheTokens(read, written["5m"], written["1h"])
        last = prefixes[max([*marked, *found])]
        return _Use(tokens, last.text_tokens, kept)

    def keep(self, use: _Use) -> None:
        """Keep the prefixes of a request whose answer has begun."""
        now = self._clock.now()
        with self._lock:
            for digest, seconds in use.kept.items():
                self._ends[digest] = now + seconds
                self._ends.move_to_end(digest)
            while len(self._ends) > _MOST_ENTRIES:
                self._ends.popitem(last=False)


class Caching:
    """The backend of one request. Its answer says what the prompt had from the cache."""

    def __init__(
        self,
        behind: Backend,
        cache: PromptCache,
        prefixes: list[_Prefix],
        least: int,
        looks_back: int,
    ) -> None:
        self._behind = behind
        self._cache = cache
        self._prefixes, self._least, self._looks_back = prefixes, least, looks_back
        self._kept: _Use | None = None

    def counts(self, input_tokens: int) -> tuple[int, CacheTokens | None]:
        """Return the rest of the input tokens, and those of the cache: None before the answer."""
        if self._kept is None:
            return input_tokens, None
        return max(0, input_tokens - self._kept.text_tokens), self._kept.tokens

    def complete(self, model_id: str, prompt: Prompt) -> Completion:
        use = self._use()
        completion = self._behind.complete(model_id, prompt)
        self._keep(use)
        return self._counted(completion)

    def stream(self, model_id: str, prompt: Prompt) -> Pieces:
        use = self._use()
        for piece in self._behind.stream(model_id, prompt):
            if self._kept is None:
                self._keep(use)
            yield self._counted(piece) if isinstance(piece, Completion) else piece

    def embed(self, model_id: str, text: str, dimensions: int) -> list[float]:
        return self._behind.embed(model_id, text, dimensions)

    def _use(self) -> _Use:
        return self._cache.use(self._prefixes, self._least, self._looks_back)

    def _keep(self, use: _Use) -> None:
        self._kept = use
        self._cache.keep(use)

    def _counted(self, completion: Completion) -> Completion:
        rest, tokens = self.counts(completion.input_tokens)
        return replace(completion, input_tokens=rest, cache=tokens)


def _check(body: dict[str, Any], marks: int, *, is_claude: bool) -> None:
    if is_claude and marks > _MOST_MARKS:
        raise invalid(
            f"A maximum of {_MOST_MARKS} blocks with cache_control may be provided. Found {marks}."
        )
    tools = (body.get("toolConfig") or {}).get("tools") or []
    for index, tool in enumerate(tools):
        if not is_claude and tool.get("cachePoint") is not None:
            raise invalid(
                f"Malformed input request: #/toolConfig/tools/{index}: extraneous key [cachePoint] "
                "is not permitted"
            )


def _prefixes(body: Any, scope: str) -> Iterator[_Prefix]:
    """Yield the prefix up to each block. A mark of its own belongs to the block before it."""
    if not any(_mark(block) for block, _ in _blocks(body)):
        return
    digest = hashlib.blake2b(scope.encode(), digest_size=16)
    last: _Prefix | None = None
    for block, is_text in _blocks(body):
        point = block.get("cachePoint") if isinstance(block, dict) else None
        if point is not None:
            if last is not None:
                last = replace(last, ttl=_ttl(point))
            continue
        if last is not None:
            yield last
        control = block.get("cache_control") if isinstance(block, dict) else None
        plain = {k: v for k, v in block.items() if k != "cache_control"} if control else block
        digest.update(json.dumps(plain, sort_keys=True, default=repr).encode() + b"\n")
        text = text_of([block]) if is_text else json.dumps(plain, default=repr)
        tokens = 0 if is_text is None else count_tokens(text)
        before = last or _Prefix(b"", 0, 0, None)
        last = _Prefix(
            digest.digest(),
            before.tokens + tokens,
            before.text_tokens + (tokens if is_text else 0),
            _ttl(control) if control else None,
        )
    if last is not None:
        yield last


def _ttl(mark: Any) -> str:
    ttl = mark.get("ttl") if isinstance(mark, dict) else None
    return ttl if ttl in _SECONDS else "5m"


def _mark(block: Any) -> Any:
    is_object = isinstance(block, dict)
    return is_object and (block.get("cachePoint") or block.get("cache_control"))


def _blocks(body: dict[str, Any]) -> Iterator[tuple[Any, bool | None]]:
    """Yield the blocks of a prompt in their order, and whether each is text or a tool.

    A message begins with its role, which is neither and has no tokens.
    """
    for tool in body.get("tools") or (body.get("toolConfig") or {}).get("tools") or []:
        yield tool, False
    system = body.get("system") or []
    for block in [{"text": system}] if isinstance(system, str) else system:
        yield block, True
    for message in body.get("messages") or []:
        content = message.get("content") or []
        yield {"role": message.get("role")}, None
        for block in [{"text": content}] if isinstance(content, str) else content:
            yield block, True
