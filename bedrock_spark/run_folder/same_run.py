"""What must not change in a run: the config that shapes its records, its Region, its account.

All of it is fixed by the run manifest. Until that is committed, nothing depends on it, and a
corrected config may replace the one that a run was begun with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedrock_spark.config import Config, fixed_part
from bedrock_spark.errors import OtherRunError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.changes import changed_keys, described
from bedrock_spark.storage import Storage, calls_at_once


def is_fixed(storage: Storage) -> bool:
    """Tell whether the run folder has a run manifest, or a job in its ledger."""
    with calls_at_once(storage) as calls:
        manifest = calls.begin(_has_any, storage, layout.MANIFEST_FILE)
        ledger = calls.begin(has_ledger, storage)
    return manifest.result() or ledger.result()


def has_ledger(storage: Storage) -> bool:
    """Tell whether the ledger in the run folder has a job."""
    return _has_any(storage, f"{layout.LEDGER}/")


def _has_any(storage: Storage, prefix: str) -> bool:
    return any(True for _ in storage.scan(prefix))


def difference(
    description: Mapping[str, Any], config: Config, region: str | None, account: str | None
) -> str | None:
    """Return why a run cannot be carried on with this config, Region and account; None if it can.

    description: the content of `run.json`
    region, account: None if unknown; then they are not compared
    """
    changes = changed_keys(fixed_part(description["config"]), config.fixed_part())
    if changes:
        how = "; ".join(described(key, old, new) for key, (old, new) in changes.items())
        return (
            f"holds a run with another {', '.join(changes)}. {how}. Its records were made with the "
            "old config and cannot be finished with this one: use a new run_uri"
        )
    return other_place(description, region, account)


def other_place(
    description: Mapping[str, Any], region: str | None, account: str | None
) -> str | None:
    """Return why a run cannot be carried on in this Region and account; None if it can."""
    of_run = description.get("region")
    if None not in (of_run, region) and of_run != region:
        return (
            f"holds a run in the Region {of_run}, and batch.region is {region}. Its jobs are where "
            "they were made: leave batch.region out, or use a new run_uri"
        )
    of_run = description.get("account")
    if None not in (of_run, account) and of_run != account:
        return (
            f"holds a run of the AWS account {of_run}, and the credentials of this process are of "
            f"the account {account}, which cannot see its jobs: use credentials of {of_run}, or a "
            "new run_uri"
        )
    return None


def has_moved(description: Mapping[str, Any], config: Config) -> bool:
    """Tell whether `run.json` is of another folder: a copy of a folder is not the run."""
    return bool(description["config"].get("run_uri") != config.run_uri)


def refuse(storage: Storage, why: str) -> OtherRunError:
    """Return the error that refuses to carry a run on."""
    return OtherRunError(f"{storage.uri}: {why}")
