"""Another run as the source of a run: what its folder says, and what the config takes over from it.

Only that folder is read, and nothing is written there. The other run may have any account and any
Region, as long as its folder can be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config, SourceConfig, parse_config
from bedrock_spark.errors import ConfigError, RunFolderError, SourceError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.cleaned import REPORT, RESULTS
from bedrock_spark.run_folder.config_versions import newest_config
from bedrock_spark.run_folder.manifest import RunManifest, read_manifest
from bedrock_spark.run_folder.run_file import begun_at_of, parse_run_file, read_run_file
from bedrock_spark.storage import Storage, open_storage


@dataclass(frozen=True)
class SourceRun:
    """A prepared run whose rows are a source.

    config: its newest one; storage: of its folder
    begun_at: in seconds since the epoch; None if not known
    """

    run_id: str
    config: Config
    manifest: RunManifest
    storage: Storage
    begun_at: float | None = None

    @property
    def named(self) -> str:
        """Return the run as the config that reads it names it."""
        return named_run(self.storage.uri)


def named_run(uri: str) -> str:
    """Return a run as the config that reads it names it."""
    return f"source.run = {uri!r}"


def open_source_run(uri: str, aws: AwsSettings) -> SourceRun:
    """Return the run at a URI. Raises SourceError if it is not prepared, or has no such run.

    aws: of the run that reads it
    Raises RunCleanedError if `clean` has deleted its results, and RunFolderError if it is damaged.
    """
    storage = open_storage(uri, aws)
    data = read_run_file(storage, (RESULTS, REPORT))
    if data is None:
        raise SourceError(f"{named_run(uri)}: holds no run; there is no {layout.RUN_FILE}")
    description = parse_run_file(data, storage)
    storage = open_storage(uri, replace(aws, region=description.get("region") or aws.region))
    manifest = read_manifest(storage)
    if manifest is None:
        raise SourceError(f"{named_run(uri)}: is not prepared yet. Run it to its end first")
    if manifest.run_id != description["run_id"]:
        raise RunFolderError(f"{uri}: manifest.json and run.json are of different runs")
    config = parse_config(newest_config(storage, description["config"]), uri)
    return SourceRun(manifest.run_id, config, manifest, storage, begun_at_of(description))


def with_run_columns(config: Config, aws: AwsSettings) -> Config:
    """Return a config that names key and kept columns, if its source is a run.

    Those that it does not name are those of that run. Raises as `open_source_run`, and ConfigError
    if the results are merged and there is no key.
    """
    source = config.source
    if source.run is None or (source.key and source.columns is not None):
        return config
    found = open_source_run(source.run, aws)
    return _completed(config, found.config.source.key, found.manifest.kept_columns)


def with_recorded_columns(config: Config, recorded: Mapping[str, Any]) -> Config:
    """Return a config that names key and kept columns, as the run has them since it was begun.

    recorded: the config in `run.json`
    """
    source, before = config.source, recorded.get("source")
    if source.run is None or not isinstance(before, Mapping) or before.get("run") != source.run:
        return config
    was = SourceConfig.model_validate(before)
    if was.rename != source.rename:
        return config
    own = source.model_copy(
        update={
            "key": source.key or was.key,
            "columns": was.columns if source.columns is None else source.columns,
        }
    )
    return config.model_copy(update={"source": own})


def _completed(config: Config, key: tuple[str, ...], kept: tuple[str, ...]) -> Config:
    source = config.source
    own_key = source.key or tuple(source.rename.get(name, name) for name in key)
    columns = source.columns or tuple(source.rename.get(name, name) for name in kept)
    if config.results.mode == "merge" and not own_key:
        raise ConfigError(
            f"results.mode: merge needs a key, and the run {source.run} has none: name columns "
            "that identify a row in source.key"
        )
    completed = source.model_copy(update={"key": own_key, "columns": columns})
    return config.model_copy(update={"source": completed})


@dataclass(frozen=True)
class DerivedFrom:
    """The lineage of a run: which rows of which run are its source.

    fingerprint: of the results of that run, as they were when they were read
    outcomes: of the rows; None for all. where: the further condition, in SQL
    """

    run_uri: str
    run_id: str
    fingerprint: str
    outcomes: tuple[str, ...] | None
    where: str | None

    def as_json(self) -> dict[str, Any]:
        """Return it as run.json and report.json hold it."""
        return {
            "run_uri": self.run_uri,
            "run_id": self.run_id,
            "fingerprint": self.fingerprint,
            "outcomes": None if self.outcomes is None else list(self.outcomes),
            "where": self.where,
        }

    @classmethod
    def from_json(cls, values: Any) -> DerivedFrom | None:
        """Return what `as_json` returned; None if there is none."""
        if not isinstance(values, Mapping):
            return None
        outcomes = values.get("outcomes")
        return cls(
            str(values.get("run_uri")),
            str(values.get("run_id")),
            str(values.get("fingerprint")),
            tuple(outcomes) if isinstance(outcomes, list) else None,
            values.get("where"),
        )
