"""What the Claude models take, by the word and the version in their id.

So new models need no new rule: a newer version, or a word that is not known, takes what the newest
known models take.

Samplers. Both at once are refused by Sonnet 4.5, Haiku 4.5: Amazon Bedrock user guide, "Anthropic
Claude Messages API: Request and Response"; Opus 4.1: open-webui/pipelines #546; Opus 4.5, Sonnet
4.6: aws-samples/bedrock-access-gateway #238. Each of them is refused by Opus 4.7 and 4.8:
NousResearch/hermes-agent #36151, aws-samples/bedrock-chat #1102; by all later models: the price
table of litellm 1.110.2 (supports_sampling_params).

Prefill, a last message of the assistant, is refused by 4.6 and later: the same table
(supports_assistant_prefill), and aws/agent-toolkit-for-aws, "model-migration".

Thinking: Amazon Bedrock user guide, "Extended thinking" and "Adaptive thinking": a budget up to
4.6, an effort from 4.6 on. 4.7 refuses `thinking: disabled`, and does not think unless it is asked
to. Which models think without being asked, and which always think: the same table
(thinking_on_by_default, thinking_always_on).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NEW = re.compile(r"anthropic\.claude-([a-z]+)-(\d{1,2})(?:-(\d{1,2}))?(?![\d])")
_OLD = re.compile(r"anthropic\.claude-(\d)(?:-(\d))?-([a-z]+)")
_FIRST = re.compile(r"anthropic\.claude-(v\d|instant)")
_NEWEST = (99, 0)
_CAN_STOP = ("opus", "sonnet", "haiku")


@dataclass(frozen=True)
class ClaudeModel:
    """A Claude model.

    word: such as `opus`
    version: major and minor; a model without a version counts as the newest
    """

    word: str
    version: tuple[int, int]

    @property
    def refuses_samplers(self) -> bool:
        return self.version >= (4, 7)

    @property
    def takes_one_sampler(self) -> bool:
        """Tell whether the model takes temperature or top_p, but not both."""
        return (4, 1) <= self.version < (4, 7)

    @property
    def refuses_prefill(self) -> bool:
        return self.version >= (4, 6)

    @property
    def thinks(self) -> bool:
        return self.version >= (3, 7)

    @property
    def takes_budget(self) -> bool:
        return (3, 7) <= self.version < (4, 7)

    @property
    def takes_effort(self) -> bool:
        return self.version >= (4, 6)

    @property
    def thinks_unasked(self) -> bool:
        return self.version >= (5, 0)

    @property
    def always_thinks(self) -> bool:
        if self.word not in _CAN_STOP:
            return self.thinks_unasked
        return self.word != "haiku" and self.version >= (5, 5)


def claude_model(bare_id: str) -> ClaudeModel | None:
    """Return what a model id says; None if it is not the id of a Claude model.

    bare_id: without ARN and geography
    """
    if not bare_id.startswith("anthropic.claude-"):
        return None
    new, old = _NEW.match(bare_id), _OLD.match(bare_id)
    if new is not None:
        return ClaudeModel(new[1], (int(new[2]), int(new[3] or 0)))
    if old is not None:
        return ClaudeModel(old[3], (int(old[1]), int(old[2] or 0)))
    if _FIRST.match(bare_id) is not None:
        return ClaudeModel("", (2, 0))
    return ClaudeModel(bare_id.removeprefix("anthropic.claude-").split("-")[0], _NEWEST)
