"""The config of a run: its shape, and how it is read."""

from bedrock_spark.config.load import load_config, parse_config, with_overrides
from bedrock_spark.config.model import (
    BatchConfig,
    Config,
    FallbackConfig,
    ModelConfig,
    RequestConfig,
    ResultsConfig,
    ShardsConfig,
    SourceConfig,
    VpcConfig,
)

__all__ = [
    "BatchConfig",
    "Config",
    "FallbackConfig",
    "ModelConfig",
    "RequestConfig",
    "ResultsConfig",
    "ShardsConfig",
    "SourceConfig",
    "VpcConfig",
    "load_config",
    "parse_config",
    "with_overrides",
]
