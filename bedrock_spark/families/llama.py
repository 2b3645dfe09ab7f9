"""Meta Llama 3 and Llama 4, instruct models.

Body: Amazon Bedrock user guide, "Meta Llama models". Answer: langchain-aws. These models take one
prompt, which must follow their template: Meta's "Model cards and prompt formats" for Llama 3 and
for Llama 4; langchain-aws (chat_models/bedrock.py) has both. There is no place for stop sequences.
A chunk of a stream has the members of an answer (langchain-aws).

The values of a row go into the template unchanged. A row that holds a control token, such as
<|eot_id|>, can end its own turn. If the rows are not trusted, use Converse, which sends the text
apart from the template.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.families.base import Answer, Family, prompt_of, refuse, refuse_tokens
from bedrock_spark.families.endings import endings_by_word
from bedrock_spark.families.json_members import Json, count_at, text_at, without_none
from bedrock_spark.families.plain_texts import read_llama
from bedrock_spark.families.turns import Turns, refuse_tokens_in, spoken

BEGIN = "<|begin_of_text|>"


@dataclass(frozen=True)
class Template:
    """The prompt template of one generation: the marks around a role and at the end of a turn."""

    family: str
    before_role: str
    after_role: str
    end: str

    def build(self, request: RequestConfig, turns: Turns = ()) -> dict[str, Any]:
        """Build a body with the prompt in the template."""
        refuse(request, self.family, "stop")
        tokens = BEGIN, self.before_role, self.after_role, self.end
        refuse_tokens(request, self.family, *tokens)
        refuse_tokens_in(turns, self.family, *tokens)
        system = "" if request.system is None else self._turn("system", request.system)
        earlier = "".join(self._turn(role, text) for role, text in spoken(turns))
        user = self._turn("user", prompt_of(request))
        return without_none(
            {
                "prompt": f"{BEGIN}{system}{earlier}{user}{self._header('assistant')}",
                "max_gen_len": request.max_tokens,
                "temperature": request.temperature,
                "top_p": request.top_p,
            }
        )

    def _turn(self, role: str, text: str) -> str:
        return f"{self._header(role)}{text}{self.end}"

    def _header(self, role: str) -> str:
        return f"{self.before_role}{role}{self.after_role}\n\n"


def read(output: Json) -> Answer:
    """Read a Llama answer."""
    return Answer(
        text=text_at(output, "generation"),
        stop_reason=text_at(output, "stop_reason"),
        input_tokens=count_at(output, "prompt_token_count"),
        output_tokens=count_at(output, "generation_token_count"),
    )


_LLAMA3 = Template("llama3", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
_LLAMA4 = Template("llama4", "<|header_start|>", "<|header_end|>", "<|eot|>")

_ENDINGS = endings_by_word(finished=("stop",), truncated=("length",))


def _family(template: Template) -> Family:
    return Family(
        template.family,
        re.compile(rf"meta\.{template.family}-.*"),
        template.build,
        read,
        read_plain=read_llama,
        read_chunk=read,
        endings=_ENDINGS,
        max_temperature=1,
        converse_images=re.compile(r"meta\.llama(3-2-(11|90)b|4)-.*"),
        chat_builder=template.build,
    )


LLAMA3, LLAMA4 = _family(_LLAMA3), _family(_LLAMA4)
