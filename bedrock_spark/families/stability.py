"""Stability AI, from text: SD3 and Stable Image (one prompt), and the older Stable Diffusion XL.

Body and answer: Amazon Bedrock user guide, "Stability.ai Stable Diffusion 3.5 Large", "Stable Image
Core" and "Stable Image Ultra request and response". For XL: public code (alexhddev/Bedrock_course);
its finishReason is not confirmed. The page of Stable Image Core also mentions text_prompts, but its
own example has `prompt`, as here. Options that are not listed here need request.body. Services that
change an image (inpaint, upscale, …) are not supported. 10,000 characters: these three pages.
"""

from __future__ import annotations

import re
from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.families.base import Answer, Family, ModelLimits, prompt_of, refuse
from bedrock_spark.families.endings import endings_by_word
from bedrock_spark.families.json_members import Json, at, text_at, texts_at, without_none


def build(request: RequestConfig) -> dict[str, Any]:
    """Build a body that asks for an image of what the prompt describes."""
    refuse(request, "stability", "system", "max_tokens", "temperature", "top_p", "stop")
    return without_none(
        {
            "prompt": prompt_of(request),
            "negative_prompt": request.negative_prompt,
            "aspect_ratio": request.aspect_ratio,
            "seed": request.seed,
        }
    )


def read(output: Json) -> Answer:
    """Read the images. The finish reason is null if no image was withheld."""
    return Answer(
        images=texts_at(output, "images"), stop_reason=text_at(output, "finish_reasons", 0)
    )


def build_xl(request: RequestConfig) -> dict[str, Any]:
    """Build a body of Stable Diffusion XL."""
    refuse(request, "stability_xl", "system", "max_tokens", "temperature", "top_p", "stop")
    size = {"width": request.width, "height": request.height, "seed": request.seed}
    return {"text_prompts": [{"text": prompt_of(request)}], **without_none(size)}


def read_xl(output: Json) -> Answer:
    """Read the images of Stable Diffusion XL."""
    artifacts = at(output, "artifacts")
    items = artifacts if isinstance(artifacts, list) else ()
    images = (text_at(item, "base64") for item in items)
    return Answer(
        images=tuple(image for image in images if image is not None),
        stop_reason=text_at(artifacts, 0, "finishReason"),
    )


_MODELS = r"stability\.(sd3-(?!.*inpaint)|stable-image-(core|ultra)-).*"

_XL = re.compile(r"stability\.stable-diffusion-xl.*")

FAMILY = Family(
    "stability",
    re.compile(_MODELS),
    build,
    read,
    extras=("seed", "aspect_ratio", "negative_prompt"),
    answers_images=True,
    limits=(ModelLimits(re.compile(".*"), max_characters=10_000),),
    # "Filter reason: prompt", "output image" or "input image"; "Inference error" is none.
    endings=endings_by_word(refused_sentence="filter reason"),
)
XL = Family(
    "stability_xl",
    _XL,
    build_xl,
    read_xl,
    extras=("seed", "width", "height"),
    answers_images=True,
    endings=endings_by_word(finished=("SUCCESS",), refused=("CONTENT_FILTERED",)),
)
