"""Open the run in a run folder, or begin a new one there.

`run.json` is created only if it is absent, so every machine that opens the same folder gets the
same run id. It is written once what can be checked is checked: a config that is refused leaves
nothing behind. When the run manifest is committed, the part of the config that shapes the records
(source, model, request, shards) is fixed, and so are the Region and the account. Until then,
another config may replace it. Everything else may always change, and the newest config wins: see
`config_versions.py`.

Region and account are found out once, when the run is begun. All later processes use that Region,
whatever their environment says.

If neither the model id nor the config shows the model's family, the service is asked for it when
the run is begun, and `run.json` keeps the reply. It also keeps that the records go through Converse
because no family is known.

If the source is another run, key and kept columns that the config does not name are those of that
run; `run.json` keeps them, too, and which rows of which run they are (`derived_from`).
"""

from __future__ import annotations

import json
import re
import secrets
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from bedrock_spark.aws.account import account_id
from bedrock_spark.aws.clients import AwsSettings, bedrock_client, region_here
from bedrock_spark.aws.model_family import ask_family, hides_family
from bedrock_spark.clock import Clock, iso_time
from bedrock_spark.config import Config, parse_config
from bedrock_spark.errors import ConfigError, ObjectChangedError
from bedrock_spark.families import converse_reason
from bedrock_spark.prices import ModelPrices, RunPrices, prices_of_run
from bedrock_spark.prices.named_models import named_fallback, named_places
from bedrock_spark.prices.place_prices import Find
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.code_digest import code_digest
from bedrock_spark.run_folder.config_versions import newest_config
from bedrock_spark.run_folder.config_versions import record_config as write_version
from bedrock_spark.run_folder.manifest import RunManifest, require_manifest
from bedrock_spark.run_folder.opening import Opening, read_folder
from bedrock_spark.run_folder.prices import (
    RecordedPrices,
    find_among,
    read_prices,
    record_prices,
)
from bedrock_spark.run_folder.run_file import (
    FORMAT,
    begun_at_of,
    config_digests,
    parse_run_file,
    read_run_file,
    versions_here,
)
from bedrock_spark.run_folder.same_run import (
    difference,
    has_moved,
    is_fixed,
    other_place,
    refuse,
)
from bedrock_spark.run_folder.source_run import (
    DerivedFrom,
    with_recorded_columns,
    with_run_columns,
)
from bedrock_spark.run_folder.stages_file import no_run
from bedrock_spark.storage import Storage, calls_at_once, open_storage

_SLUG_LENGTH = 20
_RANDOM_LENGTH = 8
_CONVERSE = "converse"


@dataclass(frozen=True)
class Run:
    """An open run.

    config: the caller's, or the newest one if the run was found by its URI alone; its batch.region
        is the Region of the run
    storage: of the run folder
    begun_at: when the run was begun, in seconds since the epoch; None if `run.json` does not say
    account: the AWS account; None if it is unknown, or the run folder is not in S3
    is_begun: whether `run.json` is written
    is_first: whether there was no `run.json` when the run was opened
    recorded_prices: those that are written down; None: this process has not read them
    derived_from: the run whose rows are the source, as they were read; None if it is another source
    opening: what its folder held when it was opened; None if that was not read
    """

    run_id: str
    config: Config
    storage: Storage
    aws: AwsSettings
    begun_at: float | None = None
    account: str | None = None
    is_begun: bool = True
    is_first: bool = False
    recorded_prices: RecordedPrices | None = None
    derived_from: DerivedFrom | None = None
    opening: Opening | None = field(default=None, compare=False, repr=False)

    @cached_property
    def prices(self) -> RunPrices:
        """Return the prices that the run counts with. Reads `prices.json`, at most once.

        Raises RunFolderError if that is damaged.
        """
        recorded = self.recorded_prices
        if recorded is None and self.opening is not None:
            recorded = self.opening.prices()
        if recorded is None:
            recorded = read_prices(self.storage)
        find = find_among(recorded.models)
        return prices_of_run(self.config, find, recorded.fallbacks, recorded.places)

    def committed(self) -> RunManifest | None:
        """Return the run manifest if it was there when the run was opened. Reads nothing.

        Raises RunFolderError if it is damaged, or of another format.
        """
        return None if self.opening is None else self.opening.manifest()

    def manifest(self) -> RunManifest:
        """Return the run manifest. Reads it, unless it was there when the run was opened.

        Raises RunFolderError if there is none, or it is damaged.
        """
        return self.committed() or require_manifest(self.storage)

    def _repr_html_(self) -> str:
        """Return what the run is, for a notebook. Reads nothing: its report has the numbers."""
        from bedrock_spark.page import table

        begun = iso_time(self.begun_at) if self.is_begun else None
        rows = [
            ("run", self.run_id),
            ("run folder", self.storage.uri),
            ("model", self.config.model.id),
            ("Region", self.aws.region or ""),
            ("begun", begun or "not yet"),
        ]
        return table("Run", rows)


def open_run(config: Config, clock: Clock) -> Run:
    """Open the run at `config.run_uri`. If there is none, return one that `begin_run` can begin.

    Writes nothing. Raises RunFolderError if `run.json` is damaged, or records another URI, or, once
    prepare is committed, another source, model, request, shards, Region or account. Raises
    RunCleanedError if `clean` has deleted what the run needs, and ConfigError if the service cannot
    name the family of a new run's model, or a run in S3 has no Region.
    """
    storage = open_storage(config.run_uri, AwsSettings(config.batch.region, config.endpoint_url))
    opening = read_folder(storage)
    if opening.run_file is None:
        return replace(new_run(config, clock), is_first=True)
    description = parse_run_file(opening.run_file, storage)
    known = _with_family_recorded(config, description["config"])
    known = with_recorded_columns(known, description["config"])
    region = config.batch.region or description.get("region") or region_here()
    run = _opened(known, region)
    why_not = difference(description, run.config, region, run.account)
    if why_not is None:
        return replace(_begun(run, description), opening=opening)
    if has_moved(description, config) or opening.is_fixed:
        raise refuse(storage, why_not)
    return new_run(config, clock)


def find_run(
    run_uri: str,
    region: str | None = None,
    endpoint_url: str | None = None,
    *,
    needs: Sequence[str] | None = None,
) -> Run:
    """Open the run at a URI with its newest config.

    region: used to read the folder, and for the run if it does not name its Region
    endpoint_url: used in place of that of the config, if given
    needs: the parts of the folder that the caller reads (`cleaned.py`); None for all
    Raises RunFolderError if there is no run, its `run.json` is damaged, or it is of another
    account, and RunCleanedError if a part that it needs is deleted.
    """
    storage = open_storage(run_uri, AwsSettings(region, endpoint_url))
    data = read_run_file(storage, needs)
    if data is None:
        raise no_run(storage)
    description = parse_run_file(data, storage)
    config = parse_config(newest_config(storage, description["config"]))
    config = config.model_copy(update={"endpoint_url": endpoint_url or config.endpoint_url})
    own = description.get("region") or config.batch.region
    run = _opened(config, own or region or region_here(), run_uri)
    why_not = other_place(description, None, run.account)
    if why_not is not None:
        raise refuse(storage, why_not)
    return _begun(run, description)


def begin_run(run: Run) -> Run:
    """Write `run.json` if that is not done, and return the run as it is begun.

    The list prices that it counts with are written, too.

    Another process may have begun it meanwhile; then the run has its id. Raises RunFolderError if
    that process had another config, and has committed prepare.
    """
    if run.is_first and not run.is_begun and (begun := _begin_first(run)) is not None:
        return begun
    while not run.is_begun:
        found = run.storage.read_version(layout.RUN_FILE)
        if found is not None:
            description = parse_run_file(found[0], run.storage)
            why_not = difference(description, run.config, run.aws.region, run.account)
            is_same = why_not is None and description.get("derived_from") == _lineage(run)
            if is_same or is_fixed(run.storage):
                if why_not is not None:
                    raise refuse(run.storage, why_not)
                run = _begun(run, description)
                break
        try:
            version = run.storage.replace(
                layout.RUN_FILE, _describe(run), found[1] if found is not None else None
            )
        except ObjectChangedError:
            continue  # another process was first: look at its run
        if found is not None and is_fixed(run.storage):
            # The run that was replaced has committed prepare at the same time. It goes on.
            run.storage.replace(layout.RUN_FILE, found[0], version)
            continue
        run = replace(run, is_begun=True)
    return _with_prices_recorded(run)


def _begin_first(run: Run) -> Run | None:
    """Begin a run whose folder had no `run.json`; None if another process was first.

    Both objects are written at once. Prices are only ever added, so those of a run that is not
    begun do no harm.
    """
    with calls_at_once(run.storage) as calls:
        described = calls.begin(run.storage.replace, layout.RUN_FILE, _describe(run), None)
        with_prices = calls.begin(_with_prices_recorded, run, may_exist=False)
    try:
        described.result()
    except ObjectChangedError:
        return None
    return replace(with_prices.result(), is_begun=True)


def _with_prices_recorded(run: Run, *, may_exist: bool = True) -> Run:
    """Write the prices that are not written down yet; return the run with those that are."""

    def needed(find: Find) -> Iterable[ModelPrices]:
        return prices_of_run(run.config, find).models

    named = named_fallback(run.config), named_places(run.config)
    recorded = record_prices(run.storage, needed, *named, may_exist=may_exist)
    return replace(run, recorded_prices=recorded)


def as_begun(run: Run) -> Run | None:
    """Return the run as `run.json` has it, without beginning it; None if it has no such run."""
    if run.is_begun:
        return run
    data = run.storage.read_if_present(layout.RUN_FILE)
    if data is None:
        return None
    description = parse_run_file(data, run.storage)
    is_other = difference(description, run.config, run.aws.region, run.account) is not None
    return None if is_other else _begun(run, description)


def check_not_replaced(run: Run) -> None:
    """Raise RunFolderError if another process has begun the run again with another config."""
    data = run.storage.read_if_present(layout.RUN_FILE)
    if data is not None and parse_run_file(data, run.storage)["run_id"] == run.run_id:
        return
    raise refuse(
        run.storage,
        "another process has begun this run again with another config; nothing was submitted. End "
        "one of the two, and run the other one again",
    )


def check_still_own(run: Run) -> None:
    """As `check_not_replaced`, before money is spent. Reads nothing if the run cannot be replaced.

    That is so if the manifest was there when the run was opened. If this process has committed it,
    another one may have begun the run again just before, and not have found the manifest.
    """
    if run.committed() is None:
        check_not_replaced(run)


def record_config(run: Run, now: float) -> Run:
    """Write the run's config as a version, unless it is the newest one already.

    Returns the run with the list prices that are written down then.
    """
    with calls_at_once(run.storage) as calls:
        versions = calls.begin(_record_version, run, now)
        with_prices = calls.begin(_with_prices_recorded, run)
    versions.result()
    return with_prices.result()


def _record_version(run: Run, now: float) -> None:
    data = run.storage.read_if_present(layout.RUN_FILE)
    if data is not None:
        begun_with = parse_run_file(data, run.storage)["config"]
        write_version(run.storage, begun_with, run.config, now)


def without_folder(config: Config, clock: Clock) -> tuple[Config, AwsSettings]:
    """Return a config with its Region and its model's family, for what needs no run folder.

    Raises ConfigError if the service cannot name the family.
    """
    region = config.batch.region or region_here()
    batch = config.batch.model_copy(update={"region": region})
    aws = AwsSettings(region, config.endpoint_url)
    known = _with_family_asked(config.model_copy(update={"batch": batch}), aws, clock)
    return with_run_columns(known, aws), aws


def new_run(config: Config, clock: Clock) -> Run:
    """Return a run that is not begun, whatever its folder holds. Writes nothing.

    Raises ConfigError as `open_run`.
    """
    run = _opened(config, config.batch.region or region_here())
    known = with_run_columns(_with_family_asked(run.config, run.aws, clock), run.aws)
    return replace(run, config=known, begun_at=clock.now(), is_begun=False)


def _opened(config: Config, region: str | None, run_uri: str | None = None) -> Run:
    """Return a run in this Region, with a new id.

    run_uri: the URI of its folder, if it is not that of the config
    """
    batch = config.batch.model_copy(update={"region": region})
    config = config.model_copy(update={"batch": batch})
    aws = AwsSettings(region, config.endpoint_url)
    storage = open_storage(run_uri or config.run_uri, aws)
    is_in_s3 = storage.uri.startswith("s3://")
    if is_in_s3 and region is None:
        raise ConfigError(
            "batch.region: is not set, and neither --region, AWS_REGION nor the AWS profile names "
            "one"
        )
    # A local folder has no batch jobs that another account could not see.
    account = account_id(aws) if is_in_s3 else None
    return Run(new_run_id(config.run_uri), config, storage, aws, account=account)


def _begun(run: Run, description: dict[str, Any]) -> Run:
    """Return the run with the id and the time of `run.json`."""
    return replace(
        run,
        run_id=description["run_id"],
        begun_at=begun_at_of(description),
        is_begun=True,
        derived_from=DerivedFrom.from_json(description.get("derived_from")),
    )


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


def _describe(run: Run) -> bytes:
    description = {
        "format": FORMAT,
        "run_id": run.run_id,
        "created_at": run.begun_at,
        "region": run.aws.region,
        "account": run.account,
        "config": run.config.model_dump(mode="json"),
        "digests": config_digests(run.config) | {"code": code_digest()},
        "versions": versions_here(),
        "derived_from": _lineage(run),
    }
    return json.dumps(description, indent=2, ensure_ascii=False).encode()


def _lineage(run: Run) -> dict[str, Any] | None:
    return None if run.derived_from is None else run.derived_from.as_json()


def _with_family_asked(config: Config, aws: AwsSettings, clock: Clock) -> Config:
    """Add the family that the service names, or `converse` to a model of no known family.

    A later version may know the family of this model. The run has Converse records, and keeps them.
    """
    if hides_family(config.model):
        return _with_family(config, ask_family(bedrock_client(aws), config.model, clock))
    return _with_family(config, _CONVERSE) if converse_reason(config) is not None else config


def _with_family_recorded(config: Config, recorded: dict[str, Any]) -> Config:
    """Add the family from `run.json` to a config that does not show one."""
    model = recorded.get("model")
    if not isinstance(model, dict):
        return config
    is_open = config.model.family is None and config.model.invocation is None
    was_open = is_open and model.get("family") == _CONVERSE
    is_hidden = hides_family(config.model)
    return _with_family(config, model.get("family")) if is_hidden or was_open else config


def _with_family(config: Config, family: str | None) -> Config:
    model = config.model.model_copy(update={"family": family})
    return config.model_copy(update={"model": model})
