"""What a model is asked to do with a row: the prompts that `init` proposes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Stands in a prompt for the placeholder of the column.
_COLUMN = "COLUMN"


@dataclass(frozen=True)
class Task:
    """A task. `prompt` has COLUMN in place of the column.

    columns: of the answer, as Spark DDL; None if the answer is a text or a vector
    options: further keys of `request`
    has_images: whether the column holds images
    """

    name: str
    summary: str
    prompt: str
    model_id: str = "amazon.nova-lite-v1:0"
    columns: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    has_images: bool = False

    def prompt_for(self, placeholder: str) -> str:
        """Return the prompt with a placeholder such as `{{ body }}`."""
        return self.prompt.replace(_COLUMN, placeholder)


CLASSIFY = Task(
    name="classify",
    summary="choose a label for each text",
    prompt="""Which kind of ticket is this: hardware, software, billing or other?
Answer with JSON only: {"label": "…", "reason": "at most ten words"}

<ticket>
COLUMN
</ticket>""",
    columns="label string NOT NULL, reason string",
    options={"max_tokens": 150, "temperature": 0},
)
EXTRACT = Task(
    name="extract",
    summary="read names, numbers and dates out of each text",
    prompt="""Read this order. Answer with JSON only, and with null for what it does not say:
{"customer": "…", "product": "…", "quantity": 1, "delivery_date": "2026-11-26"}

<order>
COLUMN
</order>""",
    columns="customer string, product string, quantity int, delivery_date date",
    options={"max_tokens": 200, "temperature": 0},
)
TRANSLATE = Task(
    name="translate",
    summary="translate each text",
    prompt="""Translate this text into English. Answer with the translation and nothing else.

<text>
COLUMN
</text>""",
    options={"max_tokens": 500},
)
EMBED = Task(
    name="embed",
    summary="turn each text into a vector",
    prompt="COLUMN",
    model_id="amazon.titan-embed-text-v2:0",
    options={"dimensions": 256},
)
DESCRIBE_IMAGES = Task(
    name="describe-images",
    summary="describe each image",
    prompt="""Describe this image in one sentence, and name its main color.
Answer with JSON only: {"description": "…", "color": "…"}""",
    columns="description string NOT NULL, color string",
    options={"max_tokens": 150},
    has_images=True,
)
TASKS = {task.name: task for task in (CLASSIFY, EXTRACT, EMBED, TRANSLATE, DESCRIBE_IMAGES)}
