"""A plan as an agreement: what differs is named before anything is submitted."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.check import list_prices
from bedrock_spark.config import Config
from bedrock_spark.config.shown import compared_config
from bedrock_spark.errors import ConfigError, ExitCode, OtherPlanError
from bedrock_spark.planning import Plan, agreement, make
from bedrock_spark.planning.agreement import Agreement, agreement_on, read_plan, write_plan
from bedrock_spark.planning.basis import basis_of, content_digest
from bedrock_spark.run_folder.manifest import RejectedRows, RunManifest, Shard, SourceState
from bedrock_spark.run_folder.prepared import Prepared
from bedrock_spark.run_folder.run import Run
from bedrock_spark.run_folder.run_file import config_digests
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import make_config
from tests.unit.moto_s3 import s3_in_process
from tests.unit.planning.test_table import PLAN

SECRET = "Classify the ticket of Mrs. Miller: {{ body }}"
SOURCE = SourceState("a" * 64, versions=("41",))
NEXT = SourceState("b" * 64, versions=("42",))


def shard(number: int, records: int = 100, text: str = "x", **more: Any) -> Shard:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Shard(f"shard-{number:05d}-00", records, 1_000, digest, **more)


SHARDS = (shard(0), shard(1, 50))
MANIFEST = RunManifest("run-a", 152, "a INT", SHARDS, (RejectedRows(0, 2),), "p" * 12, SOURCE)


def run_of(tmp_path: Path, **sections: Any) -> Run:
    config = make_config(**sections)
    return Run("run-a", config, LocalStorage(str(tmp_path)), AwsSettings(), is_begun=False)


def planned(config: Config, manifest: RunManifest = MANIFEST) -> Plan:
    """Return the plan of a config and of shards, with numbers of the example."""
    prepared = Prepared(manifest.rows, 2, manifest.shards, [], source=manifest.source)
    source = PLAN.source.model_copy(
        update={"rows": manifest.rows, "records": manifest.records, "shared": manifest.sharing}
    )
    shards = PLAN.shards.model_copy(update={"shards": len(manifest.shards), "bytes": 2_000})
    basis = basis_of(config, prepared, list_prices(config), None)
    return PLAN.model_copy(update={"basis": basis, "source": source, "shards": shards})


def refused(call: Callable[[], object]) -> list[str]:
    """Return the lines of the differences that a call ends with."""
    with pytest.raises(OtherPlanError) as caught:
        call()
    first, *lines, last = str(caught.value).splitlines()
    assert "this is not what plan.json agreed on, so nothing is submitted:" in first
    assert "bedrock-spark plan CONFIG --out FILE" in last
    assert caught.value.exit_code == ExitCode.CONFIG
    return [line.strip() for line in lines]


CONFIGS: dict[str, tuple[dict[str, Any], str]] = {
    "prompt": (
        {"request": {"prompt": f"{SECRET}!", "max_tokens": 40}},
        "request.prompt has another value in this config",
    ),
    "system": (
        {"request": {"prompt": SECRET, "max_tokens": 40, "system": SECRET}},
        "request.system is set only in this config",
    ),
    "tokens": (
        {"request": {"prompt": SECRET, "max_tokens": 41}},
        "request.max_tokens is 40 in the plan and 41 in this config",
    ),
    "budget": (
        {"budget": {"max_cost_usd": 5}},
        "budget.max_cost_usd is not set in the plan and '5' in this config",
    ),
    "place": ({"endpoint_url": "http://x"}, "endpoint_url is not set in the plan and 'http://x'"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_another_config_is_refused_by_its_keys_without_its_prompt(
    name: str, tmp_path: Path
) -> None:
    """Of a prompt there is a digest in the plan, and no word in the message."""
    agreed = {"request": {"prompt": SECRET, "max_tokens": 40}}
    sections, said = CONFIGS[name]
    of_plan, now = run_of(tmp_path, **agreed), run_of(tmp_path, **{**agreed, **sections})
    kept = Agreement(planned(of_plan.config), "plan.json")
    kept.check_begin(of_plan)
    lines = refused(lambda: kept.check_begin(now))
    assert any(line.startswith(said) for line in lines), lines
    assert "Miller" not in "".join(lines) + kept.plan.model_dump_json()


def test_a_key_at_its_default_is_no_difference() -> None:
    explicit = make_config(canary={"records": make_config().canary.records})
    assert config_digests(explicit) == config_digests(make_config())
    assert compared_config(explicit) == compared_config(make_config())


def test_other_defaults_are_refused_though_no_key_differs(tmp_path: Path) -> None:
    """A key that is in neither config means something else in another version."""
    run = run_of(tmp_path)
    plan = planned(run.config)
    older = plan.basis.model_copy(update={"config_digest": "0" * 64, "version": "0.0.1"})
    kept = Agreement(plan.model_copy(update={"basis": older}), "plan.json")
    (line,) = refused(lambda: kept.check_begin(run))
    assert line.startswith("config: its keys are the same, but what they mean by default is not")
    assert "version 0.0.1 of bedrock-spark made the plan" in line


def test_a_price_that_the_plan_does_not_have_is_refused(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    plan = planned(run.config)
    prices = {name: price for name, price in plan.basis.prices.items() if name != "batch"}
    basis = plan.basis.model_copy(update={"prices": prices})
    kept = Agreement(plan.model_copy(update={"basis": basis}), "plan.json")
    (line,) = refused(lambda: kept.check_begin(run))
    assert line.startswith("prices.batch: not known then, input $")


def test_other_prices_are_refused(tmp_path: Path) -> None:
    """The cost that was agreed would be another one: a newer price table, for example."""
    run = run_of(tmp_path)
    plan = planned(run.config)
    prices = {**plan.basis.prices, "batch": {"input": "0.0001", "output": "0.0002"}}
    basis = plan.basis.model_copy(update={"prices": prices})
    kept = Agreement(plan.model_copy(update={"basis": basis}), "plan.json")
    (line,) = refused(lambda: kept.check_begin(run))
    assert line.startswith("prices.batch: input $0.0001, output $0.0002 then, input $0.0005")


# What prepare may make of a source that has changed, and what is said.
OTHERS: dict[str, tuple[RunManifest, list[str]]] = {
    "more rows": (
        replace(MANIFEST, rows=162, shards=(*SHARDS, shard(3, 10)), source=None),
        ["rows: 152 then, 162 now", "records: 150 then, 160 now", "shards: 2 then, 3 now"],
    ),
    "another version": (
        replace(MANIFEST, shards=(shard(0, text="y"), SHARDS[1]), source=NEXT),
        ["source: version 41 then, 42 now", "requests: as many as then, with other contents"],
    ),
    "a rejected row more": (
        replace(MANIFEST, rows=153, rejects=(RejectedRows(0, 3),)),
        ["rows: 152 then, 153 now"],
    ),
    "a shared record": (
        replace(MANIFEST, rows=153, shards=(shard(0, sharing=1), SHARDS[1])),
        ["rows: 152 then, 153 now", "rows that share a record: 0 then, 1 now"],
    ),
}


@pytest.fixture
def plan_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plan the shards that were made without a call to AWS, at twice the cost."""
    cost = PLAN.cost
    assert cost is not None

    def made(run: Run, prepared: Prepared, *_: object, **__: object) -> Plan:
        found = planned(run.config, made_of[0])
        return found.model_copy(update={"cost": cost.model_copy(update={"high": Decimal(2)})})

    made_of: list[RunManifest] = []
    monkeypatch.setattr(agreement, "make_plan", made)
    monkeypatch.setattr(agreement, "prepared_of", lambda run, found: made_of.append(found))


@pytest.mark.usefixtures("plan_again")
@pytest.mark.parametrize("name", OTHERS)
def test_other_shards_are_refused_by_their_numbers(name: str, tmp_path: Path) -> None:
    run = run_of(tmp_path)
    kept = Agreement(planned(run.config), "plan.json")
    kept.check_manifest(run, MANIFEST, 0.0)
    found, said = OTHERS[name]
    lines = refused(lambda: kept.check_manifest(run, found, 0.0))
    assert lines == [*said, "cost: at most $0.1988 then, at most $2.00 now"]


def test_what_differs_is_found_without_a_call_to_aws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer would only be shown, and a call that fails would hide the difference."""

    def called(*_: object) -> None:
        raise AssertionError("AWS is asked")

    for name in ("quotas_client", "read_job_quota", "count_tokens"):
        monkeypatch.setattr(make, name, called)
    monkeypatch.setattr(make, "first_records", lambda *_: [])
    run = run_of(tmp_path)
    twice = replace(MANIFEST, rows=302, shards=(*SHARDS, shard(2), shard(3, 50)))
    lines = refused(
        lambda: Agreement(planned(run.config), "plan.json").check_manifest(run, twice, 0)
    )
    assert lines[:2] == ["rows: 152 then, 302 now", "records: 150 then, 300 now"]
    cost = re.fullmatch(r"cost: at most \$([\d.]+) then, at most \$([\d.]+) now", lines[-1])
    assert cost is not None
    assert float(cost[2]) > float(cost[1])


def test_other_files_with_the_same_requests_are_what_was_agreed(tmp_path: Path) -> None:
    """A table that was compacted asks nothing else."""
    run = run_of(tmp_path)
    moved = replace(MANIFEST, source=SourceState("c" * 64, 3, 4), prepare_id="q" * 12)
    Agreement(planned(run.config), "plan.json").check_manifest(run, moved, 0.0)
    assert content_digest(reversed(SHARDS)) == content_digest(SHARDS)


@pytest.mark.usefixtures("plan_again")
def test_more_kept_answers_are_no_breach_if_the_source_is_the_same(tmp_path: Path) -> None:
    """Other runs may have added to the store: fewer records are asked than was agreed on."""
    run = run_of(tmp_path)
    kept = Agreement(planned(run.config), "plan.json")
    fewer = replace(MANIFEST, shards=SHARDS[:1])
    kept.check_manifest(run, fewer, 0.0)
    assert refused(lambda: kept.check_manifest(run, replace(fewer, source=NEXT), 0.0))
    assert refused(lambda: kept.check_manifest(run, replace(fewer, source=None), 0.0))
    assert refused(lambda: kept.check_manifest(run, replace(fewer, rows=151), 0.0))


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_plan(PLAN, str(tmp_path / "new" / "plan.json"))
    assert read_plan(tmp_path / "new" / "plan.json") == PLAN
    assert agreement_on(PLAN).plan == agreement_on(str(tmp_path / "new" / "plan.json")).plan


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("plan.json", "."),
        ("/plan.json", "/"),
        ("plans/plan.json", "plans"),
        ("s3://bucket/plan.json", "s3://bucket"),
        ("s3a://bucket/a/plan.json", "s3a://bucket/a"),
    ],
)
def test_a_plan_is_written_to_the_file_that_is_named(
    name: str, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[str, str]] = []

    class Folder:
        def __init__(self, folder: str, _: AwsSettings) -> None:
            self.folder = folder

        def write(self, key: str, data: bytes) -> None:
            assert Plan.model_validate_json(data) == PLAN
            written.append((self.folder, key))

    monkeypatch.setattr(agreement, "open_storage", Folder)
    write_plan(PLAN, name)
    assert written == [(uri, "plan.json")]


def test_a_plan_in_s3_is_read_by_any_spelling() -> None:
    with s3_in_process() as client:
        data = PLAN.model_dump_json().encode()
        client.put_object(Bucket="bucket", Key="plans/plan.json", Body=data)
        assert [read_plan(f"{s}://bucket/plans/plan.json") for s in ("s3", "s3a")] == [PLAN] * 2


@pytest.mark.parametrize("text", [None, "", "[]", "{}", PLAN.model_dump_json()[:-9], '{"x": 1}'])
def test_what_is_no_plan_is_an_error_of_the_option(text: str | None, tmp_path: Path) -> None:
    """Before anything is opened."""
    if text is not None:
        (tmp_path / "plan.json").write_text(text)
    with pytest.raises(ConfigError, match=r"plan\.json: (the plan cannot be read|is not a plan)"):
        read_plan(tmp_path / "plan.json")
