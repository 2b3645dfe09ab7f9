"""What is deployed: a run, the stages that are left to a cluster, and where their files lie in S3.

Between prepare and the last stage, Bedrock works for hours, and no cluster is needed: `submit` or
`advance` runs anywhere. So each stage that needs Spark is a job of its own, and a run needs two:
prepare, and `fallback` (which collects first) or, without a fallback, `collect`.

If answers may be asked again, such as those that were cut off, collect has to look at them before
the fallback does: then there may be more batch jobs after it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from bedrock_spark._version import __version__
from bedrock_spark.archives import archive_name
from bedrock_spark.config import Config
from bedrock_spark.config.secrets import FromEnvironment
from bedrock_spark.errors import ConfigError
from bedrock_spark.outputs.ask_again import ask_again_of

COLLECT, FALLBACK, PREPARE, RUN, SUBMIT = "collect", "fallback", "prepare", "run", "submit"
CONFIG_FILE = "config.yaml"
_LOOPBACK = ("localhost", "127.0.0.1", "::1", "0.0.0.0")
# A job of hours: prepare and the last stage of 10^9 rows. A job of the whole run also waits.
_TIMEOUT_MINUTES = 720
_RUN_TIMEOUT_MINUTES = 7 * 24 * 60
# Names of jobs, clusters and DAGs: what all platforms accept.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,47}")
_ARTIFACTS = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()-]+)*")
# Spark's submit parameters are one text on some platforms, whose quotes are not documented.
_PROPERTY = re.compile(r"(spark\.[^\s=]+)=(\S+)")


@dataclass(frozen=True)
class Deployment:
    """A config that a cluster can run, and where the files of the deployment are.

    name: of the run, a part of the names of jobs
    artifacts: the folder in S3 to which upload.sh copies the files
    python, architecture: those of the environment archive
    spark: Spark properties that the user adds or replaces
    """

    config: Config
    name: str
    artifacts: str
    python: str = "3.11"
    architecture: str = "x86_64"
    spark: Mapping[str, str] = field(default_factory=dict)

    @property
    def region(self) -> str:
        """Return the Region of the run: the one of the jobs, the bucket and the cluster."""
        return str(self.config.batch.region)

    @property
    def repeats(self) -> bool:
        """Tell whether collect may find records that get another batch job."""
        return ask_again_of(self.config).total > 0

    @property
    def last(self) -> str:
        """Return the stage that ends the run: it collects, and publishes."""
        return COLLECT if self.config.fallback is None else FALLBACK

    @property
    def stages(self) -> tuple[str, ...]:
        """Return the stages that need Spark, in order."""
        return (PREPARE, *((COLLECT,) if self.repeats else ()), *((self.last,) * self._is_apart))

    @property
    def jobs(self) -> tuple[str, ...]:
        """Return the stages that get a job each, and last of all the whole run as one job."""
        return (*self.stages, RUN)

    @property
    def _is_apart(self) -> bool:
        return self.last != COLLECT or not self.repeats

    @property
    def archive(self) -> str:
        """Return the file name of the environment archive, as `make dist` names it."""
        return archive_name(self.python, self.architecture)

    @property
    def wheel(self) -> str:
        """Return the file name of the wheel, as `make dist` names it."""
        return f"bedrock_spark-{__version__}-py3-none-any.whl"

    def uri(self, file: str) -> str:
        """Return the URI of a file of the deployment in S3."""
        return f"{self.artifacts}/{file}"

    def script(self, stage: str) -> str:
        """Return the URI of the script that runs a stage."""
        return self.uri(f"jobs/{stage}.py")

    @property
    def arguments(self) -> list[str]:
        """Return the arguments of every script."""
        return ["--config", self.uri(CONFIG_FILE)]

    @property
    def config_text(self) -> str:
        """Return the config as a file: with the overrides, and with schemas that were files."""
        values = self.config.model_dump(mode="json", exclude_unset=True)
        return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)

    @property
    def environment_names(self) -> list[str]:
        """Return the variables that the driver needs: secrets of the source's options."""
        options = self.config.source.options.values()
        return sorted({option.env for option in options if isinstance(option, FromEnvironment)})


def timeout_minutes(stage: str) -> int:
    """Return the most minutes that the job of a stage may take."""
    return _RUN_TIMEOUT_MINUTES if stage == RUN else _TIMEOUT_MINUTES


def plan_deployment(
    config: Config,
    *,
    has_file_system: bool,
    name: str | None = None,
    artifacts: str | None = None,
    python: str = "3.11",
    architecture: str = "x86_64",
    spark: tuple[str, ...] = (),
) -> Deployment:
    """Return what to deploy. Raises ConfigError that names every fault.

    has_file_system: whether a path without a scheme is one of the platform's shared file system
    name: default: the last part of run_uri
    artifacts: default: a folder beside the run folder
    spark: `spark.key=value`
    """
    chosen = name or _name_of(config.run_uri)
    folder = (artifacts or f"{config.run_uri}-deploy").rstrip("/")
    faults = [*_config_faults(config, has_file_system)]
    if not _NAME.fullmatch(chosen):
        faults.append(
            f"--name {chosen}: must be a letter, then at most 47 letters, digits and hyphens"
        )
    if not _ARTIFACTS.fullmatch(folder) and config.run_uri.startswith("s3://"):
        faults.append(f"--artifacts {folder}: must be a folder in S3, such as s3://bucket/deploy")
    matches = [(text, _PROPERTY.fullmatch(text)) for text in spark]
    faults += [
        f"--spark-conf {text}: must be spark.key=value without spaces"
        for text, match in matches
        if match is None
    ]
    if faults:
        raise ConfigError("\n".join(faults))
    properties = {match[1]: match[2] for _, match in matches if match is not None}
    return Deployment(config, chosen, folder, python, architecture, properties)


def _name_of(run_uri: str) -> str:
    last = re.sub(r"[^A-Za-z0-9]+", "-", posixpath.basename(run_uri)).strip("-")
    return (last if last[:1].isalpha() else f"run-{last}")[:48].rstrip("-")


def _config_faults(config: Config, has_file_system: bool) -> list[str]:
    """Return what a cluster cannot use of a config that is right on this machine."""
    faults = []
    if not config.run_uri.startswith("s3://"):
        faults.append(
            f"run_uri = {config.run_uri!r}: is a folder of this machine, which a cluster does not "
            "share; use s3://bucket/path, for example with --set run_uri=…"
        )
    source = config.source
    if not (source.path or source.table or source.sql or source.run):
        faults.append(
            "source: names no path, table, sql or run, and a cluster is handed no DataFrame"
        )
    paths = ("source.path", source.path), ("source.run", source.run)
    for key, path in (*paths, ("results.path", config.results.path)):
        if path is not None and not _is_shared(path, has_file_system):
            faults.append(
                f"{key} = {path!r}: is a path of this machine, which a cluster does not share; use "
                f"s3://bucket/path, for example with --set {key}=…"
            )
    if config.batch.region is None:
        faults.append("batch.region: is not set, and a cluster has no profile that names a Region")
    host = urlsplit(config.endpoint_url).hostname if config.endpoint_url else None
    if host in _LOOPBACK:
        faults.append(
            f"endpoint_url = {config.endpoint_url!r}: is a service of this machine; leave it out"
        )
    return faults


def _is_shared(path: str, has_file_system: bool) -> bool:
    """Tell whether all machines of a cluster find the same at a path."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", path):
        return not path.startswith("file:")
    return has_file_system and path.startswith("/") and not Path(path).exists()
