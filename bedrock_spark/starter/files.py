"""The files that `init` makes: config, policies, command lines. None is ever replaced."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bedrock_spark.config import Config
from bedrock_spark.errors import AlreadyExistsError, StorageError
from bedrock_spark.permissions import policies_of


@dataclass(frozen=True)
class NewFile:
    """A file to write. name: its path in the folder."""

    name: str
    data: bytes


def policy_files(name: str, config: Config, region: str | None) -> list[NewFile]:
    """Return the policies of a config, one a file, in the folder NAME-iam."""
    policies = policies_of(config, region).named()
    return [
        NewFile(f"{name}-iam/{policy}.json", (json.dumps(value, indent=2) + "\n").encode())
        for policy, value in policies.items()
    ]


def steps_file(name: str, config: Config, deploy: Mapping[str, str]) -> NewFile:
    """Return the file NAME.md: the command lines, from the role to the results.

    deploy: the command line of `bedrock-spark deploy`, by what it is for
    """
    return NewFile(f"{name}.md", "\n".join(_steps(name, config, deploy)).encode())


def _steps(name: str, config: Config, deploy: Mapping[str, str]) -> Iterable[str]:
    role, run_uri = config.batch.role_arn.rsplit("/", 1)[-1], config.run_uri
    in_s3 = f"{run_uri.rsplit('/', 1)[0]}/{name}.yaml"
    local = [
        key
        for key, path in (
            ("source.path", config.source.path),
            ("results.path", config.results.path),
        )
        if path is not None and "://" not in path
    ]
    yield f"# {name}"
    yield ""
    yield f"Made by `bedrock-spark init`. `{name}.yaml` is the config; every command takes it."
    yield ""
    yield "## Once: the role of the jobs, and your own permissions"
    yield f"`{name}-iam/` has the policies of exactly this config. The bucket of the run folder"
    yield "must be in the Region of the jobs."
    yield "```bash"
    folder = f"file://{name}-iam"
    yield (
        f"aws iam create-role --role-name {role} --assume-role-policy-document {folder}/trust.json"
    )
    yield (
        f"aws iam put-role-policy --role-name {role} --policy-name BatchInference "
        f"--policy-document {folder}/service_role.json"
    )
    yield (
        f"aws iam create-policy --policy-name {role}-caller --policy-document {folder}/caller.json"
    )
    yield "```"
    yield "Attach the last one to yourself, and to the role of a cluster."
    yield ""
    yield "## On a laptop"
    yield "```bash"
    yield f"bedrock-spark check {name}.yaml      # no call, no cost"
    yield f"bedrock-spark preview {name}.yaml    # twenty answers"
    yield f"bedrock-spark plan {name}.yaml       # what all will cost"
    yield f"bedrock-spark run {name}.yaml        # the same command again continues"
    yield f"bedrock-spark status {shlex.quote(run_uri)}"
    yield f"bedrock-spark results {shlex.quote(run_uri)}"
    yield "```"
    yield ""
    yield "## On a cluster"
    if local:
        yield f"First let {' and '.join(local)} name a place that the cluster reaches."
    yield "With spark-submit:"
    yield "```bash"
    yield f"aws s3 cp {name}.yaml {shlex.quote(in_s3)}"
    yield f'spark-submit --name {name} "$(bedrock-spark jobs-path)" --config {shlex.quote(in_s3)}'
    yield "```"
    for what, line in deploy.items():
        yield ""
        yield f"{what}, with the ids of your own:"
        yield "```bash"
        yield line
        yield "```"
    yield ""


def write_new(folder: Path, files: Iterable[NewFile]) -> list[Path]:
    """Write files into a folder; return their paths.

    Raises AlreadyExistsError, before anything is written, if one of them exists.
    """
    planned = [(folder / file.name, file.data) for file in files]
    there = [str(path) for path, _ in planned if path.exists()]
    if there:
        raise AlreadyExistsError(
            f"{', '.join(there)}: exists already, and is never replaced; nothing was written. "
            "Choose another --name or folder"
        )
    for path, data in planned:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(data)
        except OSError as exc:
            raise StorageError(f"{path}: cannot be written: {exc.strerror or exc}") from exc
    return [path for path, _ in planned]
