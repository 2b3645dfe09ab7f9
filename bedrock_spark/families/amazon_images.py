"""Amazon Titan Image Generator and Amazon Nova Canvas: an image from a text.

Body: Amazon Nova user guide, "Request and response structure for image generation"; Titan takes the
same body, by the example "Invoke Amazon Titan Image" in the Amazon Bedrock user guide. `images` in
the answer: AWS's examples for both models (awsdocs/aws-doc-sdk-examples). Not confirmed: `error` in
the answer. Quality, the number of images and all other tasks need request.body. The limits of the
prompt: the first of these pages (Canvas), and "Amazon Titan Image Generator G1 models".
"""

from __future__ import annotations

import re
from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.families.base import Answer, Family, ModelLimits, prompt_of, refuse
from bedrock_spark.families.endings import endings_by_word
from bedrock_spark.families.json_members import Json, text_at, texts_at, without_none


def build(request: RequestConfig) -> dict[str, Any]:
    """Build a body that asks for an image of what the prompt describes."""
    refuse(request, "amazon_images", "system", "max_tokens", "temperature", "top_p", "stop")
    size = {"width": request.width, "height": request.height, "seed": request.seed}
    text = {"text": prompt_of(request), "negativeText": request.negative_prompt}
    return without_none(
        {
            "taskType": "TEXT_IMAGE",
            "textToImageParams": without_none(text),
            "imageGenerationConfig": without_none(size),
        }
    )


def read(output: Json) -> Answer:
    """Read the images. If some were withheld, `error` says why and becomes the stop reason."""
    return Answer(images=texts_at(output, "images"), stop_reason=text_at(output, "error"))


PATTERN = re.compile(r"amazon\.(titan-image-generator|nova-canvas)-.*")

FAMILY = Family(
    "amazon_images",
    PATTERN,
    build,
    read,
    extras=("seed", "width", "height", "negative_prompt"),
    answers_images=True,
    limits=(
        ModelLimits(re.compile(r"amazon\.titan-image-generator-.*"), max_characters=512),
        ModelLimits(re.compile(r"amazon\.nova-canvas-.*"), max_characters=1_024),
    ),
    # Not confirmed: the sentence. AWS's pages say that images are blocked by content filters.
    endings=endings_by_word(refused_sentence=r".{0,200}\b(blocked|content filters?)\b"),
)
