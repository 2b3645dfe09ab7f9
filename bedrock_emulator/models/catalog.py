"""ListFoundationModels, GetFoundationModel and its availability, for the models that are served.

The list is a selection, with ids as AWS publishes them. The emulator serves any id of a known
family, so a newer model works, too, though it is not listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bedrock_emulator.errors import not_found
from bedrock_emulator.families.registry import family_of
from bedrock_emulator.models.usable import availability_of, lifecycle_of, takes_profile_only
from bedrock_emulator.state.world import EmulatorState

_PROVIDERS = {
    "ai21": "AI21 Labs",
    "amazon": "Amazon",
    "anthropic": "Anthropic",
    "cohere": "Cohere",
    "deepseek": "DeepSeek",
    "google": "Google",
    "meta": "Meta",
    "minimax": "MiniMax",
    "mistral": "Mistral AI",
    "moonshot": "Moonshot AI",
    "moonshotai": "Moonshot AI",
    "nvidia": "NVIDIA",
    "openai": "OpenAI",
    "qwen": "Qwen",
    "stability": "Stability AI",
    "writer": "Writer",
    "xai": "xAI",
    "zai": "Z.AI",
}
_MODELS = {
    "ai21.j2-mid-v1": "Jurassic-2 Mid",
    "ai21.jamba-1-5-mini-v1:0": "Jamba 1.5 Mini",
    "amazon.nova-2-lite-v1:0": "Nova 2 Lite",
    "amazon.nova-2-multimodal-embeddings-v1:0": "Nova 2 Embeddings",
    "amazon.nova-canvas-v1:0": "Nova Canvas",
    "amazon.nova-lite-v1:0": "Nova Lite",
    "amazon.nova-micro-v1:0": "Nova Micro",
    "amazon.nova-pro-v1:0": "Nova Pro",
    "amazon.titan-embed-image-v1": "Titan Multimodal",
    "amazon.titan-embed-text-v1": "Titan Embeddings G1",
    "amazon.titan-embed-text-v2:0": "Titan Embeddings V2",
    "amazon.titan-image-generator-v2:0": "Titan Image G1 v2",
    "amazon.titan-text-express-v1": "Titan Text Express",
    "amazon.titan-text-lite-v1": "Titan Text Lite",
    "anthropic.claude-3-5-sonnet-20240620-v1:0": "Claude 3.5 Sonnet",
    "anthropic.claude-3-haiku-20240307-v1:0": "Claude 3 Haiku",
    "anthropic.claude-haiku-4-5-20251001-v1:0": "Claude Haiku 4.5",
    "anthropic.claude-sonnet-4-20250514-v1:0": "Claude Sonnet 4",
    "cohere.command-r-v1:0": "Command R",
    "cohere.command-text-v14": "Command",
    "cohere.embed-english-v3": "Embed English",
    "cohere.embed-multilingual-v3": "Embed Multilingual",
    "cohere.embed-v4:0": "Embed v4",
    "deepseek.r1-v1:0": "DeepSeek-R1",
    "deepseek.v3-v1:0": "DeepSeek-V3.1",
    "meta.llama3-1-70b-instruct-v1:0": "Llama 3.1 70B",
    "meta.llama3-8b-instruct-v1:0": "Llama 3 8B",
    "google.gemma-3-27b-it": "Gemma 3 27B",
    "minimax.minimax-m2.5": "MiniMax M2.5",
    "mistral.mistral-7b-instruct-v0:2": "Mistral 7B",
    "mistral.mistral-large-2407-v1:0": "Mistral Large 2407",
    "moonshotai.kimi-k3": "Kimi K3",
    "nvidia.nemotron-super-3-120b": "Nemotron 3 Super",
    "openai.gpt-oss-120b-1:0": "gpt-oss-120b",
    "openai.gpt-oss-20b-1:0": "gpt-oss-20b",
    "qwen.qwen3-32b-v1:0": "Qwen3 32B",
    "stability.sd3-5-large-v1:0": "SD 3.5 Large",
    "stability.stable-diffusion-xl-v1": "SDXL 1.0",
    "writer.palmyra-x5-v1:0": "Palmyra X5",
    "xai.grok-4.7": "Grok 4.7",
    "zai.glm-5": "GLM 5",
}


@dataclass(frozen=True)
class Catalog:
    """The three operations on foundation models."""

    world: EmulatorState

    def list(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Return the listed models that pass the filters."""
        details = (self._details(model_id, region) for model_id in listed_model_ids())
        return {"modelSummaries": [d for d in details if d and _matches(d, params)]}

    def get(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Describe a model, listed or not. Raise ResourceNotFoundException if none is served."""
        model_id = params["modelIdentifier"].rsplit("/", 1)[-1]
        details = self._details(model_id, region)
        if details is None:
            raise not_found(f"The model {model_id} could not be found.")
        return {"modelDetails": details}

    def availability(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Say whether the account may use a model. Raise ResourceNotFoundException as `get`."""
        model_id = params["modelId"]
        if family_of(model_id) is None:
            raise not_found(f"The model {model_id} could not be found.")
        return availability_of(self.world, model_id)

    def _details(self, model_id: str, region: str) -> dict[str, Any] | None:
        details = _details(model_id, region)
        if details is None:
            return None
        lifecycle = lifecycle_of(self.world, model_id)
        by_profile = takes_profile_only(self.world, model_id)
        # Botocore's model has no such type, but the service's replies have it, as the only one.
        types = ["INFERENCE_PROFILE"] if by_profile else ["ON_DEMAND", "PROVISIONED"]
        return {**details, "modelLifecycle": lifecycle, "inferenceTypesSupported": types}


def listed_models() -> dict[str, str]:
    """Return the names of the listed models by their ids."""
    return dict(_MODELS)


def listed_model_ids() -> list[str]:
    """Return the ids of the listed models, sorted."""
    return sorted(_MODELS)


def _details(model_id: str, region: str) -> dict[str, Any] | None:
    family = family_of(model_id)
    if family is None:
        return None
    provider = model_id.split(".")[0]
    return {
        "modelArn": f"arn:aws:bedrock:{region}::foundation-model/{model_id}",
        "modelId": model_id,
        # The service model allows 20 characters for a name.
        "modelName": _MODELS.get(model_id, model_id.split(".", 1)[-1])[:20],
        "providerName": _PROVIDERS.get(provider, provider)[:20],
        "inputModalities": list(family.input_modalities),
        "outputModalities": list(family.output_modalities),
        "responseStreamingSupported": family.stream is not None,
        "customizationsSupported": [],
    }


def _matches(details: dict[str, Any], params: dict[str, Any]) -> bool:
    provider = params.get("byProvider", details["providerName"])
    types = details["inferenceTypesSupported"]
    return (
        str(provider).lower() == details["providerName"].lower()
        and params.get("byOutputModality", details["outputModalities"][0])
        in details["outputModalities"]
        and params.get("byInferenceType", types[0]) in types
        and "byCustomizationType" not in params
    )
