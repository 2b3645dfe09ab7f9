"""Open the run in a run folder, or begin a new one there.

`run.json` is written first, and only if it is absent, so every machine that opens the same folder
gets the same run id. The part of the config that shapes the records (source, model, request,
shards) must not change after that. Everything else may, and the newest config wins.

If neither the model id nor the config shows the model's family, the service is asked for it when
the run is begun, and `run.json` keeps the reply.
"""

from __future__ import annotations

import json
import platform
import re
import secrets
import string
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from bedrock_spark._version import __version__
from bedrock_spark.aws.clients import AwsSettings, bedrock_client
from bedrock_spark.aws.model_family import ask_family, hides_family
from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.clock import Clock
from bedrock_spark.config import Config, fixed_part, parse_config
from bedrock_spark.errors import AlreadyExistsError, RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage, open_storage

FORMAT = 1
_SLUG_LENGTH = 20
_RANDOM_LENGTH = 8
_LIBRARIES = ("boto3", "botocore", "pyarrow", "pyspark")


@dataclass(frozen=True)
class Run:
    """An open run.

    config: the caller's, or that of `run.json` if the run was found by its URI alone
    storage: of the run folder
    begun_at: when the run was begun, in seconds since the epoch; None if `run.json` does not say
    """

    run_id: str
    config: Config
    storage: Storage
    aws: AwsSettings
    begun_at: float | None = None


def open_run(config: Config, clock: Clock) -> Run:
    """Open the run at `config.run_uri`, or begin it there.

    Raises RunFolderError if `run.json` is damaged, or records another source, model, request,
    shards or URI, and ConfigError if the service cannot name the family of a new run's model.
    """
    aws = AwsSettings(config.batch.region, config.endpoint_url)
    storage = open_storage(config.run_uri, aws)
    data = storage.read_if_present(layout.RUN_FILE)
    if data is None:
        data = _begin(_with_family_asked(config, aws, clock), storage, clock)
    description = _parse(data, storage)
    config = _with_family_recorded(config, description["config"])
    _check_same(description["config"], config, storage)
    return Run(description["run_id"], config, storage, aws, _begun_at(description))


def find_run(run_uri: str, region: str | None = None, endpoint_url: str | None = None) -> Run:
    """Open the run at a URI with the config it was begun with.

    region, endpoint_url: used in place of those of that config, if given
    Raises RunFolderError if there is no run, or its `run.json` is damaged.
    """
    storage = open_storage(run_uri, AwsSettings(region, endpoint_url))
    data = storage.read_if_present(layout.RUN_FILE)
    if data is None:
        raise RunFolderError(f"{run_uri}: holds no run; there is no {layout.RUN_FILE}")
    description = _parse(data, storage)
    config = parse_config(description["config"])
    aws = AwsSettings(region or config.batch.region, endpoint_url or config.endpoint_url)
    storage = open_storage(run_uri, aws)
    return Run(description["run_id"], config, storage, aws, _begun_at(description))


def _begun_at(description: dict[str, Any]) -> float | None:
    seconds = description.get("created_at")
    return float(seconds) if isinstance(seconds, int | float) else None


def new_run_id(run_uri: str) -> str:
    """Return a readable, unique id: the folder's name and eight random characters.

    It begins with a letter or digit and has only characters that a batch job's name may have.
    """
    # Random, because job names and request tokens derive from the id. If a folder is deleted and a
    # new run is begun in it, the new run must not find the jobs of the old one.
    name = re.sub(r"[^a-z0-9]+", "-", run_uri.rstrip("/").rsplit("/", 1)[-1].lower()).strip("-")
    slug = name[:_SLUG_LENGTH].strip("-") or "run"
    alphabet = string.ascii_lowercase + string.digits
    return f"{slug}-{''.join(secrets.choice(alphabet) for _ in range(_RANDOM_LENGTH))}"


def _begin(config: Config, storage: Storage, clock: Clock) -> bytes:
    description = {
        "format": FORMAT,
        "run_id": new_run_id(config.run_uri),
        "created_at": clock.now(),
        "config": config.model_dump(mode="json"),
        "versions": _versions(),
    }
    data = json.dumps(description, indent=2, ensure_ascii=False).encode()
    try:
        storage.create(layout.RUN_FILE, data)
    except AlreadyExistsError:
        return storage.read(layout.RUN_FILE)  # another machine was first: open its run
    return data


def _with_family_asked(config: Config, aws: AwsSettings, clock: Clock) -> Config:
    if not hides_family(config.model):
        return config
    return _with_family(config, ask_family(bedrock_client(aws), config.model, clock))


def _with_family_recorded(config: Config, recorded: dict[str, Any]) -> Config:
    """Add the family from `run.json` to a config that does not show one."""
    model = recorded.get("model")
    if not hides_family(config.model) or not isinstance(model, dict):
        return config
    return _with_family(config, model.get("family"))


def _with_family(config: Config, family: str | None) -> Config:
    model = config.model.model_copy(update={"family": family})
    return config.model_copy(update={"model": model})


def _versions() -> dict[str, str]:
    versions = {"bedrock_spark": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not a pip package here"  # the cluster's own Spark
    return versions


def _parse(data: bytes, storage: Storage) -> dict[str, Any]:
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


def _check_same(recorded: dict[str, Any], config: Config, storage: Storage) -> None:
    recorded, now = fixed_part(recorded), config.fixed_part()
    changed = [
        f"{section}.{key}" if isinstance(now[section], dict) else section
        for section in now
        for key in _differing_keys(recorded.get(section), now[section])
    ]
    if changed:
        raise RunFolderError(
            f"{storage.uri}: holds a run with another {', '.join(changed)}. Its records were made "
            "with the old config and cannot be finished with this one: use a new run_uri"
        )


def _differing_keys(recorded: Any, now: Any) -> list[str]:
    """Return the keys in which two sections differ; for values that are not sections, [""]."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        return sorted(k for k in recorded.keys() | now.keys() if recorded.get(k) != now.get(k))
    return [] if recorded == now else [""]
