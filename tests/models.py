"""The model ids that the README, the docs, the demo, the benchmarks and the tests use.

They stand here only, with the day on which Amazon Bedrock ends them, as far as it is known.
`make models` lists those that end soon. `tests/unit/test_models.py` compares the files that users
read with this list. The family tests have more ids, old ones too: what they test does not end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parents[1]

# The ids for tests and benchmarks that need some model. AWS serves newer Claude through inference
# profiles only; a foundation model's own id is for batch jobs, ARNs and lists of models.
CLAUDE_MODEL = "anthropic.claude-haiku-4-5-20251001-v1:0"
SONNET_MODEL = "anthropic.claude-sonnet-4-6"
CLAUDE = f"us.{CLAUDE_MODEL}"
SONNET = f"us.{SONNET_MODEL}"
NOVA = "amazon.nova-lite-v1:0"

# The day on which the list was compared with its sources: AWS's pages "Model lifecycle" and "Model
# lifecycle (Legacy)", their copy in github.com/awslabs/startups (ai-model-lifecycle.md of September
# 2026), and `deprecation_date` in the price table of litellm 1.110.2.
LOOKED_UP = date(2026, 11, 26)

# None: no end is announced. A Bedrock model is announced as Legacy at least 45 days before.
ENDS: dict[str, date | None] = {
    "ai21.jamba-1-5-large-v1:0": date(2026, 11, 26),
    "ai21.jamba-1-5-mini-v1:0": date(2026, 11, 26),
    "amazon.nova-2-lite-v1:0": None,
    "amazon.nova-2-multimodal-embeddings-v1:0": None,
    "amazon.nova-canvas-v1:0": date(2026, 9, 30),
    "amazon.nova-lite-v1:0": None,
    "amazon.nova-lite-v1:0:300k": None,
    "amazon.nova-micro-v1:0": None,
    "amazon.nova-micro-v1:0:128k": None,
    "amazon.nova-premier-v1:0": date(2026, 9, 14),
    "amazon.nova-pro-v1:0": None,
    "amazon.nova-pro-v1:0:300k": None,
    "amazon.nova-sonic-v1:0": date(2026, 9, 14),
    "amazon.titan-embed-g1-text-02": None,
    "amazon.titan-embed-image-v1": None,
    "amazon.titan-embed-text-v1": None,
    "amazon.titan-embed-text-v2:0": None,
    "amazon.titan-image-generator-v2:0": date(2026, 6, 30),
    "anthropic.claude-3-5-sonnet-20240620-v1:0": date(2026, 7, 30),
    "anthropic.claude-3-5-sonnet-20241022-v2:0": date(2026, 7, 30),
    "anthropic.claude-3-7-sonnet-20250219-v1:0": date(2026, 4, 28),
    "anthropic.claude-3-haiku-20240307-v1:0": date(2026, 9, 10),
    "anthropic.claude-3-sonnet-20240229-v1:0": date(2026, 7, 30),
    "anthropic.claude-haiku-4-5-20251001-v1:0": None,
    "anthropic.claude-opus-4-1-20250805-v1:0": date(2027, 1, 8),
    "anthropic.claude-opus-4-8": None,
    "anthropic.claude-sonnet-4-20250514-v1:0": date(2026, 10, 14),
    "anthropic.claude-sonnet-4-5-20250929-v1:0": date(2027, 4, 8),
    "anthropic.claude-sonnet-4-6": None,
    "anthropic.claude-sonnet-5": None,
    "cohere.command-r-plus-v1:0": date(2026, 8, 19),
    "cohere.command-r-v1:0": date(2026, 8, 19),
    "cohere.embed-english-v3": None,
    "cohere.embed-multilingual-v3": None,
    "cohere.embed-v4:0": None,
    "deepseek.r1-v1:0": date(2027, 3, 30),
    "deepseek.v3-v1:0": date(2027, 3, 30),
    "deepseek.v3.2": None,
    "meta.llama3-1-405b-instruct-v1:0": date(2026, 7, 7),
    "meta.llama3-1-70b-instruct-v1:0": date(2027, 3, 30),
    "meta.llama3-1-8b-instruct-v1:0": date(2027, 3, 30),
    "meta.llama3-2-11b-instruct-v1:0": date(2026, 7, 7),
    "meta.llama3-2-1b-instruct-v1:0": date(2026, 7, 7),
    "meta.llama3-2-3b-instruct-v1:0": date(2026, 7, 7),
    "meta.llama3-2-90b-instruct-v1:0": date(2026, 7, 7),
    "meta.llama3-3-70b-instruct-v1:0": date(2027, 3, 30),
    "meta.llama3-70b-instruct-v1:0": date(2027, 3, 30),
    "meta.llama3-8b-instruct-v1:0": date(2027, 3, 30),
    "meta.llama4-maverick-17b-instruct-v1:0": date(2027, 3, 30),
    "meta.llama4-scout-17b-instruct-v1:0": date(2027, 3, 30),
    "mistral.mistral-7b-instruct-v0:2": date(2027, 3, 30),
    "mistral.mixtral-8x7b-instruct-v0:1": date(2027, 3, 30),
    "openai.gpt-oss-120b-1:0": None,
    "openai.gpt-oss-20b-1:0": None,
    "qwen.qwen3-32b-v1:0": None,
    "qwen.qwen3-coder-30b-a3b-v1:0": date(2027, 3, 30),
    "qwen.qwen3-coder-480b-a35b-v1:0": date(2027, 3, 30),
    "stability.sd3-5-large-v1:0": None,
    "twelvelabs.marengo-embed-2-7-v1:0": date(2026, 11, 30),
    "twelvelabs.pegasus-1-2-v1:0": date(2027, 3, 22),
    "writer.palmyra-x4-v1:0": date(2027, 3, 9),
    "writer.palmyra-x5-v1:0": date(2027, 3, 21),
    "xai.grok-4.7": None,
}

# What a reader of the docs may copy, and the code of the demo and the benchmarks.
_FOR_USERS = (
    *("README.md", "docs/*.md", "conf/*.yaml", "jobs/*.py", "bench/**/*.py"),
    *("docs/tasks/*.md", "bedrock_spark/starter/*.py"),
    *("bedrock_spark/demo/*", "bedrock_spark/config/*.py", "bedrock_spark/cli/**/*.py"),
)
_FOR_TESTS = ("tests/**/*.py", "bedrock_emulator/models/*.py")
# A provider, then a name with a digit in it. A pattern such as `amazon.titan-text-*` is no id.
_ID = re.compile(
    r"(?<![\w./-])(?:(?:us|us-gov|eu|apac|jp|au|ca|sa|me|af|in|global)\.)?"
    r"((?:ai21|amazon|anthropic|cohere|deepseek|google|luma|meta|minimax|mistral|moonshot|"
    r"moonshotai|nvidia|openai|qwen|stability|twelvelabs|writer|xai|zai)"
    r"\.(?=[a-z0-9.:-]*\d)[a-z][a-z0-9]*(?:[.:-][a-z0-9]+)+)(?![\w*-])"
)


def ids_for_users() -> dict[str, set[str]]:
    """Return the bare model ids in the files that users read, each with these files."""
    return _ids_in(_FOR_USERS)


def ids_for_tests() -> dict[str, set[str]]:
    """Return the bare model ids in the tests and the local Bedrock, each with these files."""
    return _ids_in(_FOR_TESTS)


def _ids_in(patterns: tuple[str, ...]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in _files(patterns):
        for model_id in _ID.findall(path.read_text(encoding="utf-8")):
            found.setdefault(model_id, set()).add(str(path.relative_to(ROOT)))
    return found


def _files(patterns: tuple[str, ...]) -> Iterator[Path]:
    for pattern in patterns:
        for path in sorted(ROOT.glob(pattern)):
            if path.is_file() and path != Path(__file__) and path.suffix != ".pyc":
                yield path
