"""Open a run: find out from its folder what it is, or begin it.

`run.json` is written first, and only if absent, so every machine that opens the same folder gets
the same run id. What shapes the records (source, model, request, shards) may not change once the
folder exists; everything else may, and the newest config wins. The family of a model id that hides
it is asked of the service when the run is begun, and stands in `run.json` from then on.
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
    """An open run: its id, its config as it is now, its folder, and when it was begun."""

    run_id: str
    config: Config
    storage: Storage
    aws: AwsSettings
    begun_at: float | None = None


def open_run(config: Config, clock: Clock) -> Run:
    """Open the run that lies at `config.run_uri`, or begin it there.

    Raises RunFolderError where the folder holds a run of another source, model or request, and
    ConfigError where a run is begun with a model id that hides its family, and nobody tells.
    """
    aws = AwsSettings(config.batch.region, config.endpoint_url)
    storage = open_storage(config.run_uri, aws)
    found = storage.read_if_present(layout.RUN_FILE)
    if found is None:
        found = _begin(_with_family_asked(config, aws, clock), storage, clock)
    described = _parse(found, storage)
    config = _with_family_recorded(config, described["config"])
    _check_same(described["config"], config, storage)
    return Run(described["run_id"], config, storage, aws, _begun_at(described))


def find_run(run_uri: str, region: str | None = None, endpoint_url: str | None = None) -> Run:
    """Open the run that lies at a URI with the config it was begun with; region and endpoint win.

    Raises RunFolderError where there is none.
    """
    storage = open_storage(run_uri, AwsSettings(region, endpoint_url))
    found = storage.read_if_present(layout.RUN_FILE)
    if found is None:
        raise RunFolderError(f"{run_uri}: holds no run; there is no {layout.RUN_FILE}")
    described = _parse(found, storage)
    config = parse_config(described["config"])
    aws = AwsSettings(region or config.batch.region, endpoint_url or config.endpoint_url)
    storage = open_storage(run_uri, aws)
    return Run(described["run_id"], config, storage, aws, _begun_at(described))


def _begun_at(described: dict[str, Any]) -> float | None:
    begun = described.get("created_at")
    return float(begun) if isinstance(begun, int | float) else None


def new_run_id(run_uri: str) -> str:
    """Return a readable, unique id: the folder's name and eight random characters.

    Random, because job names and request tokens derive from it: a folder deleted and begun anew
    must not be handed the jobs of the old one. It begins with a letter or digit and holds only what
    a batch job's name may.
    """
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
        return storage.read(layout.RUN_FILE)  # another machine was first: its run is the run
    return data


def _with_family_asked(config: Config, aws: AwsSettings, clock: Clock) -> Config:
    if not hides_family(config.model):
        return config
    return _with_family(config, ask_family(bedrock_client(aws), config.model, clock))


def _with_family_recorded(config: Config, recorded: dict[str, Any]) -> Config:
    """Take a family that the id hides from the run, where the config is silent."""
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
            versions[name] = "not a pip package here"  # a cluster's own Spark
    return versions


def _parse(data: bytes, storage: Storage) -> dict[str, Any]:
    where = join_uri(storage.uri, layout.RUN_FILE)
    try:
        described = json.loads(data)
    except ValueError as exc:
        raise RunFolderError(f"{where}: is not JSON; the run folder is damaged") from exc
    if not isinstance(described, dict) or "format" not in described:
        raise RunFolderError(f"{where}: is not the description of a run")
    if described["format"] != FORMAT:
        raise RunFolderError(
            f"{where}: has format {described['format']}, this version reads {FORMAT}; "
            "use the version of bedrock-spark that began the run"
        )
    if not isinstance(described.get("run_id"), str) or not isinstance(
        described.get("config"), dict
    ):
        raise RunFolderError(f"{where}: lacks a run_id or a config; the run folder is damaged")
    return described


def _check_same(recorded: dict[str, Any], config: Config, storage: Storage) -> None:
    recorded, now = fixed_part(recorded), config.fixed_part()
    changed = [
        f"{section}.{key}" if isinstance(now[section], dict) else section
        for section in now
        for key in _differing(recorded.get(section), now[section])
    ]
    if changed:
        raise RunFolderError(
            f"{storage.uri}: holds a run with another {', '.join(changed)}. Records that were cut "
            "from one config cannot be finished with another: use a new run_uri"
        )


def _differing(recorded: Any, now: Any) -> list[str]:
    if isinstance(recorded, dict) and isinstance(now, dict):
        return sorted(k for k in recorded.keys() | now.keys() if recorded.get(k) != now.get(k))
    return [] if recorded == now else [""]
