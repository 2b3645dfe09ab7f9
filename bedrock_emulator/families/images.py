"""Image families: Titan Image and Nova Canvas (same body), Stable Diffusion XL and later ones."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from pydantic import Field, model_validator

from bedrock_emulator.answers.png import draw_png
from bedrock_emulator.families.family import Answer, Body, Context, Family

# Task type of Titan Image and Nova Canvas -> the member that holds its parameters.
_TASKS = {
    "TEXT_IMAGE": "textToImageParams",
    "INPAINTING": "inPaintingParams",
    "OUTPAINTING": "outPaintingParams",
    "IMAGE_VARIATION": "imageVariationParams",
    "COLOR_GUIDED_GENERATION": "colorGuidedGenerationParams",
    "BACKGROUND_REMOVAL": "backgroundRemovalParams",
}
_RATIOS = {"16:9", "1:1", "21:9", "2:3", "3:2", "4:5", "5:4", "9:16", "9:21"}


class GenerationConfig(Body):
    """The number and size of the images, and how to draw them."""

    numberOfImages: int = Field(default=1, ge=1, le=5)  # noqa: N815 - the wire's name
    width: int = Field(default=1024, ge=1, le=4096)
    height: int = Field(default=1024, ge=1, le=4096)
    cfgScale: float | None = Field(default=None, ge=1.1, le=10)  # noqa: N815
    seed: int | None = Field(default=None, ge=0)
    quality: Literal["standard", "premium"] | None = None


class TaskBody(Body):
    """The request body of Titan Image and Nova Canvas.

    https://docs.aws.amazon.com/nova/latest/userguide/image-gen-req-resp-structure.html
    """

    taskType: Literal[  # noqa: N815
        "TEXT_IMAGE", "INPAINTING", "OUTPAINTING", "IMAGE_VARIATION",
        "COLOR_GUIDED_GENERATION", "BACKGROUND_REMOVAL",
    ]  # fmt: skip
    textToImageParams: dict[str, Any] | None = None  # noqa: N815
    inPaintingParams: dict[str, Any] | None = None  # noqa: N815
    outPaintingParams: dict[str, Any] | None = None  # noqa: N815
    imageVariationParams: dict[str, Any] | None = None  # noqa: N815
    colorGuidedGenerationParams: dict[str, Any] | None = None  # noqa: N815
    backgroundRemovalParams: dict[str, Any] | None = None  # noqa: N815
    imageGenerationConfig: GenerationConfig = GenerationConfig()  # noqa: N815

    @model_validator(mode="after")
    def _has_parameters(self) -> TaskBody:
        member = _TASKS[self.taskType]
        if getattr(self, member) is None:
            raise ValueError(f"{member} is required for {self.taskType}")
        return self


class TextPrompt(Body):
    """A weighted prompt of Stable Diffusion XL."""

    text: str = Field(min_length=1, max_length=2000)
    weight: float = 1.0


class SdxlBody(Body):
    """The request body of Stable Diffusion XL.

    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-diffusion-1-0-text-image.html
    """

    text_prompts: list[TextPrompt] = Field(min_length=1)
    height: int = Field(default=1024, ge=128)
    width: int = Field(default=1024, ge=128)
    cfg_scale: float | None = Field(default=None, ge=0, le=35)
    clip_guidance_preset: str | None = None
    sampler: str | None = None
    samples: int = Field(default=1, ge=1, le=1)
    seed: int = Field(default=0, ge=0)
    steps: int | None = Field(default=None, ge=10, le=150)
    style_preset: str | None = None
    extras: dict[str, Any] | None = None


class StableBody(Body):
    """The request body of Stable Diffusion 3 and Stable Image.

    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-diffusion-3-text-image.html
    """

    prompt: str = Field(min_length=1, max_length=10_000)
    negative_prompt: str | None = None
    aspect_ratio: str = "1:1"
    mode: Literal["text-to-image", "image-to-image"] = "text-to-image"
    image: str | None = None
    strength: float | None = Field(default=None, ge=0, le=1)
    output_format: Literal["png", "jpeg", "webp"] = "png"
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _is_known_ratio(self) -> StableBody:
        if self.aspect_ratio not in _RATIOS:
            raise ValueError(f"aspect_ratio must be one of {sorted(_RATIOS)}")
        return self


def answer_task(body: TaskBody, context: Context) -> Answer:
    """Answer with `numberOfImages` images."""
    config = body.imageGenerationConfig
    parameters = json.dumps(body.model_dump(), sort_keys=True)
    images = [
        draw_png(f"{context.model_id}{parameters}{number}", config.width, config.height)
        for number in range(config.numberOfImages)
    ]
    return Answer({"images": images, "error": None}, 0, 0)


def answer_sdxl(body: SdxlBody, context: Context) -> Answer:
    """Answer with one artifact."""
    text = f"{context.model_id}{body.model_dump_json()}"
    artifact = {
        "seed": body.seed,
        "base64": draw_png(text, body.width, body.height),
        "finishReason": "SUCCESS",
    }
    return Answer({"result": "success", "artifacts": [artifact]}, 0, 0)


def answer_stable(body: StableBody, context: Context) -> Answer:
    """Answer with one image. It is always a PNG: `output_format` is ignored."""
    width, height = (int(side) for side in body.aspect_ratio.split(":"))
    text = f"{context.model_id}{body.model_dump_json()}"
    image = draw_png(text, width * 64, height * 64)
    return Answer({"seeds": [body.seed], "finish_reasons": [None], "images": [image]}, 0, 0)


TASK_IMAGES = Family(
    name="titan-image",
    models=re.compile(r"amazon\.(titan-image-generator|nova-canvas).+"),
    body=TaskBody,
    answer=answer_task,
    input_modalities=("TEXT", "IMAGE"),
    output_modalities=("IMAGE",),
)
SDXL = Family(
    name="sdxl",
    models=re.compile(r"stability\.stable-diffusion-xl.+"),
    body=SdxlBody,
    answer=answer_sdxl,
    output_modalities=("IMAGE",),
)
STABLE = Family(
    name="stable",
    models=re.compile(r"stability\.(sd3|stable-image).+"),
    body=StableBody,
    answer=answer_stable,
    output_modalities=("IMAGE",),
)
