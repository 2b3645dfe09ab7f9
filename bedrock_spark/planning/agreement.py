"""A plan as an agreement: what was agreed is what runs, or nothing is submitted.

The requests of all shards have one digest. If it is the agreed one, the run asks exactly what was
planned, whatever happened to the files of the source. If not, the numbers say what has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bedrock_spark._version import __version__
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.check import list_prices
from bedrock_spark.config.shown import compared_config, is_digest
from bedrock_spark.config_file import read_file
from bedrock_spark.costs.tokens import dollars
from bedrock_spark.errors import ConfigError, OtherPlanError
from bedrock_spark.planning.basis import PRICES, content_digest, paid_prices
from bedrock_spark.planning.make import make_plan, prepared_of
from bedrock_spark.planning.values import Money, Plan
from bedrock_spark.run_folder.changes import described
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run
from bedrock_spark.run_folder.run_file import config_digests
from bedrock_spark.run_folder.source_change import change_of
from bedrock_spark.storage import open_storage


def refuse_folder(name: str) -> None:
    """Raise ConfigError if a plan cannot be written to a file of this name: it is a folder."""
    if name.endswith("/") or Path(name).is_dir():
        raise ConfigError(f"--out {name}: is a folder; name a file in it, such as plan.json")


def write_plan(plan: Plan, name: str) -> None:
    """Write a plan to a file here or in S3. Raises StorageError."""
    folder, slash, key = name.rpartition("/")
    data = f"{plan.model_dump_json(indent=1)}\n"
    open_storage(folder or slash or ".", AwsSettings()).write(key, data.encode())


def read_plan(name: str | Path) -> Plan:
    """Read a plan that `plan --out` wrote, here or in S3. Raises ConfigError if it is none."""
    try:
        return Plan.model_validate_json(read_file(str(name)))
    except OSError as exc:
        raise ConfigError(f"{name}: the plan cannot be read: {exc.strerror or exc}") from exc
    except ValidationError as exc:
        raise ConfigError(
            f"{name}: is not a plan of bedrock-spark {__version__}; write one by bedrock-spark "
            f"plan CONFIG --out {name}"
        ) from exc


@dataclass(frozen=True)
class Agreement:
    """A plan that a run must keep to.

    name: of the plan in messages, such as its file
    """

    plan: Plan
    name: str = "the plan"

    def check_begin(self, run: Run) -> None:
        """Raise OtherPlanError if the config or the prices of a run are not the agreed ones."""
        basis = self.plan.basis
        changes: list[str] = []
        if config_digests(run.config)["config"] != basis.config_digest:
            changes += _config_changes(basis.config, compared_config(run.config)) or [
                "config: its keys are the same, but what they mean by default is not: version "
                f"{basis.version} of bedrock-spark made the plan, this is {__version__}"
            ]
        prices = run.prices if run.is_begun else list_prices(run.config)
        changes += _price_changes(basis.prices, paid_prices(prices))
        if changes:
            self._refuse(run, changes)

    def check_manifest(self, run: Run, manifest: RunManifest, now: float) -> None:
        """Raise OtherPlanError if the shards of a run are not the agreed ones.

        now: in seconds since the epoch
        If they are not, they are planned, by what the agreed plan has measured: no call is made.
        """
        then = self.plan
        is_same = content_digest(manifest.shards) == then.basis.content
        if (is_same and manifest.rows == then.source.rows) or _asks_less(then, manifest):
            return
        prepared, mean = prepared_of(run, manifest), then.basis.output_tokens
        found = make_plan(run, prepared, (), now, mean, measured=then)
        self._refuse(run, _changes_of(then, found, manifest))

    def _refuse(self, run: Run, changes: Iterable[str]) -> None:
        said = f"this is not what {self.name} agreed on, so nothing is submitted"
        lines = "".join(f"\n  {change}" for change in changes)
        raise OtherPlanError(
            f"{run.storage.uri}: {said}:{lines}\nTo agree on what is now, make a new plan: "
            "bedrock-spark plan CONFIG --out FILE"
        )


def _config_changes(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    changes = []
    for key in sorted(then.keys() | now.keys()):
        old, new = then.get(key), now.get(key)
        if old == new:
            continue
        if is_digest(old) and is_digest(new):
            changes.append(f"{key} has another value in this config")
        elif is_digest(old) or is_digest(new):
            place = "this config" if old is None else "the plan"
            changes.append(f"{key} is set only in {place}")
        else:
            changes.append(described(key, old, new, of="the plan"))
    return changes


def _asks_less(then: Plan, manifest: RunManifest) -> bool:
    """Tell whether the same source asks fewer records, because more answers are kept by now."""
    source, now = then.basis.source, manifest.source
    if source is None or now is None or source.digest != now.digest:
        return False
    is_same = manifest.rows == then.source.rows and manifest.rejected == then.source.rejected
    return is_same and manifest.records < then.source.records


def _price_changes(then: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for name in PRICES:
        old, new = then.get(name), now[name]
        if old != new:
            yield f"prices.{name}: {_price(old)} then, {_price(new)} now"


def _price(price: Any) -> str:
    if isinstance(price, dict):
        return ", ".join(f"{name} ${value}" for name, value in price.items())
    return "not known" if price is None else f"${price}"


def agreement_on(plan: Plan | str | Path) -> Agreement:
    """Return a plan, or the one in a file here or in S3, as an agreement.

    Raises ConfigError if it cannot be read.
    """
    if isinstance(plan, Plan):
        return Agreement(plan)
    return Agreement(read_plan(plan), str(plan))


def _changes_of(then: Plan, now: Plan, manifest: RunManifest) -> Iterator[str]:
    """Yield what differs between the agreed plan and that of the shards that were made."""
    source = change_of(then.basis.source, manifest.source)
    if source is not None:
        yield f"source: {source}"
    pairs: dict[str, tuple[int, int]] = {
        "rows": (then.source.rows, now.source.rows),
        "records": (then.source.records, now.source.records),
        "rows that share a record": (then.source.shared, now.source.shared),
        "kept answers": (then.source.kept, now.source.kept),
        "rejected rows": (then.source.rejected, now.source.rejected),
        "shards": (then.shards.shards, now.shards.shards),
        "bytes": (then.shards.bytes, now.shards.bytes),
    }
    changed = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    yield from (f"{name}: {old:,} then, {new:,} now" for name, (old, new) in changed.items())
    if not changed:
        yield "requests: as many as then, with other contents"
    bounds = _bound(then.cost), _bound(now.cost)
    if bounds[0] != bounds[1]:
        yield "cost: {} then, {} now".format(*bounds)


def _bound(cost: Money | None) -> str:
    if cost is None:
        return "not known"
    most: Decimal | None = cost.high
    return f"{dollars(cost.low)} or more" if most is None else f"at most {dollars(most)}"
