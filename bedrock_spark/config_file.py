"""Read a config, and the JSON Schema that it names, from a local file or from S3.

A config in S3 is read with the credentials, the Region and the endpoint of this process: what the
config says of them is not known yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config
from bedrock_spark.config.load import (
    AnyConfig,
    Reading,
    open_config_file,
    read_config,
    read_local,
)
from bedrock_spark.errors import StorageError
from bedrock_spark.s3_spelling import as_s3
from bedrock_spark.storage import open_storage


def read_any_config(config: AnyConfig, overrides: Iterable[str] = ()) -> Reading:
    """Read a config with all its problems: a file here or in S3, plain values, or a Config.

    overrides: `key=value`, or a JSON object of such keys and values, applied in order
    Raises ConfigError if there is no text to read.
    """
    return read_config(config, overrides, read=read_file)


def open_config(config: AnyConfig) -> AnyConfig:
    """Return a config file as it is now, read once; plain values and a Config as they are.

    All that look at it see one text, also if somebody writes it meanwhile. Raises ConfigError if
    there is no text to read.
    """
    return config if isinstance(config, (Config, Mapping)) else open_config_file(config, read_file)


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Read a YAML file here or in S3, apply overrides and validate the result.

    Raises ConfigError that names every problem of its keys and values. `check_config` finds more.
    """
    return read_any_config(path, overrides).checked()


def read_file(name: str) -> bytes:
    """Return the bytes of a local file or of an object of S3. Raises OSError."""
    name = as_s3(name)
    if not name.startswith("s3://"):
        return read_local(name)
    folder, _, key = name.rpartition("/")
    try:
        return open_storage(folder, AwsSettings()).read(key)
    except StorageError as exc:
        raise OSError(str(exc).removeprefix(f"{name}: ")) from exc
