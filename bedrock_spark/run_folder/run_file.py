"""`run.json`: what a run was begun with.

It is created only if it is absent, and replaced only until prepare is committed: see `run.py`.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from bedrock_spark._version import __version__
from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.config import Config
from bedrock_spark.errors import RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.cleaned import refuse_cleaned
from bedrock_spark.storage import Storage, calls_at_once

FORMAT = 1
_LIBRARIES = ("boto3", "botocore", "pyarrow", "pyspark")


def read_run_file(storage: Storage, needs: Sequence[str] | None = None) -> bytes | None:
    """Return the bytes of `run.json`, or None. Raises RunCleanedError as `refuse_cleaned`."""
    with calls_at_once(storage) as calls:
        reading = calls.begin(storage.read_if_present, layout.RUN_FILE)
        cleaned = calls.begin(refuse_cleaned, storage, needs)
    data = reading.result()
    if data is not None:
        cleaned.result()
    return data


def begun_at_of(description: Mapping[str, Any]) -> float | None:
    """Return when a run was begun, in seconds since the epoch; None if it is not known."""
    seconds = description.get("created_at")
    return float(seconds) if isinstance(seconds, int | float) else None


def parse_run_file(data: bytes, storage: Storage) -> dict[str, Any]:
    """Return the description of a run. Raises RunFolderError if it is damaged."""
    uri = join_uri(storage.uri, layout.RUN_FILE)
    try:
        description = json.loads(data)
    except ValueError as exc:
        raise RunFolderError(f"{uri}: is not JSON; the run folder is damaged") from exc
    if not isinstance(description, dict) or "format" not in description:
        raise RunFolderError(f"{uri}: is not the description of a run")
    if description["format"] != FORMAT:
        raise RunFolderError(
            f"{uri}: has format {description['format']}, this version reads {FORMAT}; "
            "use the version of bedrock-spark that began the run"
        )
    if not isinstance(description.get("run_id"), str) or not isinstance(
        description.get("config"), dict
    ):
        raise RunFolderError(f"{uri}: lacks a run_id or a config; the run folder is damaged")
    return description


def config_digests(config: Config) -> dict[str, str]:
    """Return the SHA-256 of a config, and of what its request asks, in hexadecimal.

    Of canonical JSON: sorted keys, no white space. Two runs with one digest of their request have
    asked rows in the same way.
    """
    parts = {"config": config.model_dump(mode="json"), "request": config.fixed_part()["request"]}
    return {name: _sha256(part) for name, part in parts.items()}


def _sha256(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def versions_here() -> dict[str, str]:
    """Return the versions of this package, of Python and of the libraries that matter."""
    versions = {"bedrock_spark": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not a pip package here"  # the cluster's own Spark
    return versions
