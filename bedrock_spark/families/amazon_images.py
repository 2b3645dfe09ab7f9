"""Amazon Titan Image Generator and Amazon Nova Canvas, from text.

Body: Amazon Nova user guide, "Request and response structure for image generation"; Titan's is the
same by the Amazon Bedrock user guide's example "Invoke Amazon Titan Image". `images` in the answer:
AWS's examples for both (awsdocs/aws-doc-sdk-examples). `error` beside it is not confirmed. Size,
quality, number and every other task take request.body.
"""

from __future__ import annotations

import re
from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.families.base import Answer, Family, Json, prompt_of, refuse, text_at, texts_at


def build(request: RequestConfig) -> dict[str, Any]:
    """Build a body that asks for an image of the prompt."""
    refuse(request, "amazon_images", "system", "max_tokens", "temperature", "top_p", "stop")
    return {"taskType": "TEXT_IMAGE", "textToImageParams": {"text": prompt_of(request)}}


def read(output: Json) -> Answer:
    """Read images; where some were withheld, `error` says why."""
    return Answer(images=texts_at(output, "images"), stop_reason=text_at(output, "error"))


PATTERN = re.compile(r"amazon\.(titan-image-generator|nova-canvas)-.*")

FAMILY = Family("amazon_images", PATTERN, build, read)
