"""The pipeline's own decisions: which configs it accepts, and when it stops before it pays."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml
from pyspark.sql import SparkSession

from bedrock_spark import run_models, submission
from bedrock_spark.aws.model_state import ModelState
from bedrock_spark.check import check_config
from bedrock_spark.costs.tokens import Tokens
from bedrock_spark.errors import (
    AnswerStoreError,
    BedrockSparkError,
    BudgetError,
    CanaryError,
    ConfigError,
    JobRejectedError,
    ModelUnavailableError,
    PlanError,
    RunFolderError,
)
from bedrock_spark.fallback.rounds import Fallback, refuse_too_small
from bedrock_spark.fanout import StepResult, why_open
from bedrock_spark.model_check import UsedModel
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.pipeline import Pipeline, stages
from bedrock_spark.pipeline import opened as opened_run
from bedrock_spark.pipeline.repeats import note_end_of
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.lease_wait import DEFAULT_SECONDS, NO_WAIT, LeaseWait
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.manifest import RunManifest, Shard, commit_manifest
from bedrock_spark.run_folder.model_use import ModelUse
from bedrock_spark.run_folder.published import WRITING, Publication, Publications
from bedrock_spark.run_folder.run import begin_run
from bedrock_spark.spark import partial
from bedrock_spark.spark import publish as publishing
from tests.unit.fakes import CLAUDE, PROVISIONED, FakeClock, config_values, make_config

SPARK: SparkSession = None  # type: ignore[assignment]


def open_pipeline(folder: Path, **sections: Any) -> Pipeline:
    return Pipeline.open(config_values(str(folder), **sections), FakeClock())


def manifest_of(*records: int) -> RunManifest:
    """Return a run manifest with one shard for each number of records."""
    shards = tuple(Shard(f"shard-{i}", n, n, str(i)) for i, n in enumerate(records))
    return RunManifest("r", sum(records), "a INT", shards, ())


def prepare_by_hand(pipeline: Pipeline, *records: int) -> None:
    """Begin the run and commit a manifest of shards with these numbers of records."""
    pipeline.run = begin_run(pipeline.run)
    manifest = replace(manifest_of(*records), run_id=pipeline.run.run_id)
    commit_manifest(pipeline.run.storage, manifest)


def test_a_run_says_once_that_its_records_go_through_converse(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A run that is carried on says it again: another person may watch."""
    grok = {"model": {"id": "us.xai.grok-4.7"}, "request": {"prompt": "{{ a }}"}}
    for _ in range(2):
        caplog.clear()
        pipeline = open_pipeline(tmp_path, **grok)
        pipeline._lint()
        begin_run(pipeline.run)
        said = [r.getMessage() for r in caplog.records if "Converse" in r.getMessage()]
        assert said == [
            "model.id: no family is known for us.xai.grok-4.7, so the records are Converse "
            "requests; model.family chooses another body"
        ]


def test_a_config_is_a_path_a_dict_or_a_config(tmp_path: Path) -> None:
    """All three give the same config."""
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(config_values()))
    expected = make_config()
    for config in (path, str(path), config_values(), expected):
        assert check_config(config) == expected


def test_a_manifest_of_another_run_is_refused(tmp_path: Path) -> None:
    """Its records were made with another config, and its jobs have other names."""
    pipeline = open_pipeline(tmp_path)
    commit_manifest(pipeline.run.storage, manifest_of(50))
    for stage in (pipeline.advance, pipeline.watch):
        with pytest.raises(RunFolderError, match=r"manifest\.json is of the run r, run\.json of"):
            stage()


TOO_MUCH = {"prompt": "{{ body }}", "max_tokens": 10**9}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"model": {"id": "amazon.nova-micro-v1:0"}, "request": TOO_MUCH}, "max_tokens"),
        ({"targets": [{"model_id": "amazon.nova-pro-v1:0"}]}, "of the family nova"),
        ({"targets": [{"model_id": CLAUDE, "region": "eu-west-1"}]}, "uri: is needed"),
    ],
)
def test_a_config_that_is_refused_leaves_no_folder(
    tmp_path: Path, sections: dict[str, Any], message: str
) -> None:
    """So the corrected config can begin the run at the same URI."""
    spark: Any = None
    for stage in ("prepare", "run_all"):
        with pytest.raises(BedrockSparkError, match=message if stage == "prepare" else "."):
            getattr(open_pipeline(tmp_path / "run", **sections), stage)(spark)
    assert not (tmp_path / "run").exists()


def test_watch_before_prepare_is_refused(tmp_path: Path) -> None:
    """There is no run manifest yet, and the message says which stage comes first."""
    with pytest.raises(RunFolderError, match="has no run manifest; run prepare first"):
        open_pipeline(tmp_path).watch()


def test_a_run_of_small_shards_has_no_batch_jobs(tmp_path: Path) -> None:
    """Watching it does nothing, and needs neither S3 nor a client."""
    pipeline = open_pipeline(tmp_path)
    manifest = replace(manifest_of(3, 4), run_id=pipeline.run.run_id)
    commit_manifest(pipeline.run.storage, manifest)
    assert pipeline.watch() is None
    assert pipeline.jobs() == {}


def test_check_refuses_a_local_folder_for_batch_jobs(tmp_path: Path) -> None:
    """Bedrock cannot read it."""
    with pytest.raises(ConfigError, match="batch jobs need an s3:// run_uri"):
        open_pipeline(tmp_path).check()


def test_the_budget_of_jobs_knows_what_the_fallback_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that goes on after its fallback must not spend the money a second time."""
    prices = {"batch": {"input": 0.1, "output": 0}, "fallback": {"input": 0.1, "output": 0}}
    pipeline = open_pipeline(
        tmp_path,
        canary={"records": 0},
        fallback={"model_id": "m"},
        prices=prices,
        budget={"max_cost_usd": 5},
    )
    storage, opened = pipeline.run.storage, list[Any]()
    prepare_by_hand(pipeline, 50, 60)
    monkeypatch.setattr(Ledger, "replay", lambda _: {"a": None})
    monkeypatch.setattr(
        submission,
        "leased_controller",
        lambda *arguments, **_: opened.append(arguments[-1]) or nullcontext(),
    )
    for unit in ("shard-0", "shard-1"):
        storage.write(layout.fallback_key(unit, "1"), b"")
        shard = ReconciledShard(
            unit=unit,
            fallback_models=(ModelUse("m", "standard", 3, {"input": 700, "output": 9}),),
        )
        storage.write(layout.reconciliation_key(unit), shard.to_json())
    with pipeline._submission(NO_WAIT):
        assert opened[0].fallback().tokens == Tokens(1400, 18)


@pytest.mark.parametrize(
    ("records", "canary", "jobs", "is_asked"),
    [
        ((50, 60), {}, {}, True),
        ((50, 60), {"records": 0}, {}, False),
        ((50, 60), {}, {"a": None}, False),
        ((3, 4), {}, {}, False),
    ],
)
def test_when_the_canary_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, records: tuple[int, ...],
    canary: dict[str, Any], jobs: dict[str, Any], is_asked: bool,
) -> None:  # fmt: skip
    """Before the first batch job of a run, if it has any. Not if a job was submitted already."""
    pipeline = open_pipeline(tmp_path, canary=canary)
    asked: list[int] = []
    prepare_by_hand(pipeline, *records)
    monkeypatch.setattr(
        submission, "ask_canary", lambda _run, shards, *_: asked.append(len(shards))
    )
    monkeypatch.setattr(Ledger, "replay", lambda _: jobs)
    monkeypatch.setattr(submission, "leased_controller", lambda *_, **__: nullcontext())
    with pipeline._submission(NO_WAIT):
        pass
    assert asked == [2] * is_asked


@pytest.mark.parametrize(
    ("records", "fallback", "refused"),
    [
        ((50, 60), False, 0),
        ((50, 9), False, 9),
        ((9, 8), False, 17),
        ((50, 9), True, 0),
        ((10,), False, 0),
    ],
)
def test_small_shards_without_a_fallback_are_refused_after_prepare(
    tmp_path: Path, records: tuple[int, ...], fallback: bool, refused: int
) -> None:
    """A batch job needs more records. The run stops before its other jobs cost anything."""
    sections = {"fallback": {"model_id": PROVISIONED}} if fallback else {}
    run = open_pipeline(tmp_path, **sections).run
    if refused:
        with pytest.raises(
            PlanError, match=rf"^{refused} records are in shards below shards\.min"
        ) as e:
            refuse_too_small(run, manifest_of(*records))
        assert "in a new run_uri" in str(e.value)  # this folder refuses another shards.min_records
    else:
        refuse_too_small(run, manifest_of(*records))


PARSE = {"columns": "label string", "retries": 1}


@pytest.mark.parametrize(
    ("mode", "unsettled", "unanswered", "invalid", "fallback", "gave_up", "reason"),
    [
        ("append", 0, 0, 0, True, False, None),
        ("append", 0, 3, 0, False, False, None),
        ("append", 0, 3, 0, True, True, None),
        ("append", 0, 3, 0, True, False, "the fallback may still answer 3 rows"),
        ("append", 1, 0, 0, False, False, "1 shard has an active batch job or waits for one"),
        ("append", 2, 3, 0, True, True, "2 shards have active batch jobs or wait for one"),
        ("append", 0, 10, 10, False, False, "will be asked again by batch jobs"),
        ("append", 0, 9, 9, False, False, None),
        ("append", 0, 10, 10, True, True, None),
        ("merge", 1, 0, 0, False, False, "1 shard has an active batch job or waits for one"),
        ("merge", 0, 3, 0, True, False, "the fallback may still answer 3 rows"),
        ("merge", 0, 3, 0, True, True, None),
        ("overwrite", 1, 0, 0, False, False, "1 shard has an active batch job or waits for one"),
        ("overwrite", 1, 3, 0, True, True, "1 shard has an active batch job or waits for one"),
        ("overwrite", 0, 1, 0, True, False, "the fallback may still answer 1 row"),
        ("overwrite", 0, 3, 0, False, False, None),
        ("overwrite", 0, 3, 0, True, True, None),
    ],
)
def test_only_final_results_are_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, unsettled: int, unanswered: int,
    invalid: int, fallback: bool, gave_up: bool, reason: str | None,
) -> None:  # fmt: skip
    """No job is active, and nothing is left to ask. Else the report says what is awaited."""
    place = {"format": "delta", "path": str(tmp_path / "published")}
    sections = {"fallback": {"model_id": PROVISIONED}} if fallback else {}
    pipeline = open_pipeline(
        tmp_path / "run", results={"mode": mode, "parse": PARSE, **place}, **sections
    )
    prepare_by_hand(pipeline, 50)
    pipeline._fallback = cast("Fallback", SimpleNamespace(gave_up=gave_up, reason=None))
    published: list[str] = []
    monkeypatch.setattr(why_open, "count_unsettled", lambda *_: unsettled)
    monkeypatch.setattr(publishing, "publish", lambda *_, **__: published.append(mode) or "there")
    shards = [
        ReconciledShard(unit="shard-0", rows=50, unanswered=unanswered, again_records=invalid)
    ]
    assert pipeline.publish(SPARK, shards) == (None if reason else "there")
    assert published == ([] if reason else [mode])
    findings = [
        f["detail"] for f in pipeline.report(shards).findings if f["kind"] == "not_published"
    ]
    assert len(findings) == (1 if reason else 0)
    assert all(str(reason) in detail for detail in findings)


def test_without_a_place_there_is_nothing_to_wait_for(tmp_path: Path) -> None:
    """The report of a run that is not published anywhere has no finding about it."""
    pipeline = open_pipeline(tmp_path, results={"mode": "append"})
    prepare_by_hand(pipeline, 50)
    assert pipeline.publish(SPARK, []) is None
    assert pipeline.report([ReconciledShard(unit="shard-0")]).findings[0]["kind"] != "not_published"


@pytest.mark.parametrize(
    ("mode", "noted", "is_asked"),
    [
        ("append", None, True),
        ("append", "append", False),
        ("append", "overwrite", True),
        ("merge", "append", True),
    ],
)
def test_after_rows_were_appended_nothing_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, noted: str | None, is_asked: bool
) -> None:
    """Their answers would be paid for and could not be appended again."""
    place = str(tmp_path / "published")
    pipeline = open_pipeline(
        tmp_path / "run", fallback={"model_id": PROVISIONED},
        results={"mode": mode, "path": place, "format": "delta"},
    )  # fmt: skip
    prepare_by_hand(pipeline, 5)
    if noted is not None:
        Publications(pipeline.run.storage).note(place, Publication(noted, WRITING, "abc"))
    opened: list[bool] = []

    def open_fallback(*_: Any) -> Any:
        opened.append(True)
        return nullcontext(SimpleNamespace(may_go_on=lambda _: False, gave_up=False, reason=None))

    monkeypatch.setattr(stages, "open_fallback", open_fallback)
    shards = [ReconciledShard(unit="shard-0", unanswered=3)]
    assert pipeline.fall_back(SPARK, shards) == shards
    assert opened == [True] * is_asked
    # An append that a process began is finished by the next one, though rows are unanswered.
    monkeypatch.setattr(publishing, "publish", lambda *_, **__: place)
    assert pipeline.publish(SPARK, shards) == (None if is_asked else place)


def test_rows_that_a_later_stage_asks_are_not_asked_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by batch jobs nor by the fallback; and the run is over without their answers."""
    pipeline = open_pipeline(tmp_path / "run", fallback={"model_id": PROVISIONED})
    prepare_by_hand(pipeline, 5)
    counts = {"ok": 2, "error": 3}
    shards = [ReconciledShard(unit="shard-0", rows=5, outcomes=counts, unanswered=3)]
    called: list[str] = []
    monkeypatch.setattr(Pipeline, "check", lambda _: None)
    monkeypatch.setattr(Pipeline, "prepare", lambda *_: pipeline.manifest())
    monkeypatch.setattr(Pipeline, "collect", lambda *_: called.append("collect") or shards)
    monkeypatch.setattr(Pipeline, "watch", lambda _: called.append("watch"))
    monkeypatch.setattr(stages, "ask_in_rounds", lambda *_, **__: called.append("ask") or shards)
    monkeypatch.setattr(
        stages,
        "open_fallback",
        lambda *_: nullcontext(SimpleNamespace(gave_up=False, reason=None, out_of_money=False)),
    )
    monkeypatch.setattr(why_open, "count_unsettled", lambda *_: 0)
    assert pipeline.run_all(SPARK).state == "unfinished"
    assert called == ["watch", "collect", "ask"]
    called.clear()
    pipeline.failures_are_read = True
    assert pipeline.run_all(SPARK).state == "done"
    assert called == ["collect"]


@pytest.mark.parametrize("stage", [Pipeline.advance, Pipeline.watch])
def test_no_job_is_submitted_for_rows_that_a_later_stage_asks(
    tmp_path: Path, stage: Callable[[Pipeline], StepResult | None]
) -> None:
    """Nor is any call made: the run is over, also if its shards may have more attempts by now."""
    pipeline = open_pipeline(tmp_path / "run", shards={"min_records": 3})
    prepare_by_hand(pipeline, 5, 4, 1)
    pipeline.failures_are_read = True
    result = stage(pipeline)
    assert result == StepResult(2, 2, 0, 0, 9, 0)
    assert result.is_done


@pytest.mark.parametrize(("keeps", "there", "is_written"), [
    (False, "there", True),
    (True, "there", False),
    # They have changed, or are not published yet.
    (True, None, True),
])  # fmt: skip
def test_results_that_a_later_stage_has_merged_into_are_left_alone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    keeps: bool,
    there: str | None,
    is_written: bool,
) -> None:
    """As long as they are as they were published."""
    pipeline = open_pipeline(
        tmp_path / "run", results={"path": str(tmp_path / "published"), "format": "delta"}
    )
    pipeline.keeps_published = keeps
    prepare_by_hand(pipeline, 5)
    written: list[str] = []
    monkeypatch.setattr(why_open, "count_unsettled", lambda *_: 0)
    monkeypatch.setattr(publishing, "published_at", lambda *_: there)
    monkeypatch.setattr(publishing, "publish", lambda *_, **__: written.append("x") or "there")
    assert pipeline.publish(SPARK, [ReconciledShard(unit="shard-0", rows=5)]) == "there"
    assert bool(written) == is_written


@pytest.mark.parametrize("out_of_money", [False, True])
def test_answers_that_cannot_be_kept_hide_neither_the_report_nor_the_budget(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    out_of_money: bool,
) -> None:
    pipeline = open_pipeline(tmp_path / "run", answers=str(tmp_path / "store"))
    prepare_by_hand(pipeline, 5)
    spent: Any = SimpleNamespace(out_of_money=out_of_money, reason="it is spent", gave_up=True)
    pipeline._fallback = spent
    monkeypatch.setattr(why_open, "count_unsettled", lambda *_: 0)

    def refuse(*_: object) -> None:
        raise AnswerStoreError("the store is damaged")

    monkeypatch.setattr(Pipeline, "_keep", refuse)
    shards = [ReconciledShard(unit="shard-0", rows=5, outcomes={"ok": 2, "error": 3})]
    message = "it is spent" if out_of_money else "the store is damaged"
    with pytest.raises(BudgetError if out_of_money else AnswerStoreError, match=message):
        pipeline.finish(SPARK, shards)
    report = json.loads(pipeline.run.storage.read("report.json"))
    assert (report["outcomes"]["ok"], report["state"]) == (2, "failed")
    assert message in report["error"]["message"]
    assert ("the store is damaged" in caplog.text) == out_of_money


class _Opened(Exception):  # noqa: N818 - it ends a stage at the moment that is looked at
    pass


@pytest.mark.parametrize("seconds", [None, 7.0])
def test_every_stage_that_holds_a_lease_waits_for_it_but_a_single_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float | None
) -> None:
    """A scheduler repeats the step anyway. The wait is shown as progress of the run."""
    values = config_values(
        str(tmp_path / "run"),
        fallback={"model_id": "m"},
        results={"path": str(tmp_path / "published"), "format": "delta"},
    )
    more = {} if seconds is None else {"lease_wait": seconds}
    told: list[Any] = []
    pipeline = Pipeline.open(values, FakeClock(), told.append, **more)
    prepare_by_hand(pipeline, 50)
    waits: list[LeaseWait] = []

    def opened(*arguments: Any, **named: Any) -> Any:
        values = [*arguments, *named.values()]
        waits.extend(value for value in values if isinstance(value, LeaseWait))
        raise _Opened

    for name in ("check_reachable", "is_canary_due"):
        for module in (opened_run, submission):
            monkeypatch.setattr(module, name, lambda *_: False, raising=False)
    monkeypatch.setattr(pipeline._models, "check", lambda: None)
    monkeypatch.setattr(pipeline._models, "check_fallback", lambda: None)
    monkeypatch.setattr(submission, "leased_controller", opened)
    monkeypatch.setattr(stages, "open_fallback", opened)
    for module in (publishing, partial):
        monkeypatch.setattr(module, "publish", opened)
    monkeypatch.setattr(why_open, "count_unsettled", lambda *_: 0)
    unanswered = [ReconciledShard(unit="shard-0", rows=50, unanswered=3)]
    answered = [ReconciledShard(unit="shard-0", rows=50)]
    for stage in (
        pipeline.watch,
        lambda: pipeline.fall_back(SPARK, unanswered),
        lambda: pipeline.publish(SPARK, answered),
        lambda: pipeline.publish(SPARK, answered, partial=str(tmp_path / "partial")),
        pipeline.advance,
    ):
        with pytest.raises(_Opened):
            stage()
    expected = DEFAULT_SECONDS if seconds is None else seconds
    assert [wait.seconds for wait in waits] == [expected] * 4 + [0.0]
    assert all(wait.observe == pipeline.observe for wait in waits[:-1])


UNITS = {"name": "n", "token": "t", "model_id": "m", "model_units": 1, "bought_at": 1.0}


@pytest.mark.parametrize(
    ("key", "content", "is_refused"),
    [
        (None, {}, True),
        (layout.fallback_key("shard-0", "a"), {}, False),
        (layout.purchase_key(1, "intent"), UNITS, False),
    ],
)
def test_a_run_that_has_paid_goes_on_without_its_model(
    tmp_path: Path, key: str | None, content: dict[str, Any], is_refused: bool
) -> None:
    """Also a run of the fallback alone: its answers are collected, and its units deleted."""
    pipeline = open_pipeline(tmp_path / "run", fallback={"model_id": PROVISIONED})
    prepare_by_hand(pipeline, 5)
    pipeline._models.used = (UsedModel("model.id", "m", ModelState("m", "us-east-1", ends_at=1.0)),)
    if key is not None:
        pipeline.run.storage.write(key, json.dumps(content).encode())
    if not is_refused:
        pipeline.check_models()
        return
    with pytest.raises(ModelUnavailableError, match="has ended this model"):
        pipeline.check_models()


def test_units_of_a_dead_process_are_deleted_if_the_model_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They bill by the hour, and no later stage would delete them."""
    pipeline = open_pipeline(tmp_path / "run", fallback={"model_id": PROVISIONED})
    prepare_by_hand(pipeline, 5)
    ended = UsedModel("fallback.model_id", "m", ModelState("m", "us-east-1", ends_at=1.0))
    pipeline._models.used = (ended,)
    deleted: list[object] = []
    monkeypatch.setattr(
        run_models, "delete_leftover_throughput", lambda *args: deleted.append(args)
    )
    with pytest.raises(ModelUnavailableError, match="has ended this model"):
        pipeline.fall_back(SPARK, [ReconciledShard(unit="shard-0", unanswered=3)])
    assert deleted == [(pipeline.run, pipeline.clock)]


@pytest.mark.parametrize(
    ("stage", "broken", "error", "records"),
    [
        ("canary", "ask_canary", CanaryError("the model refuses"), 5),
        ("batch", "open_budget", BudgetError("too dear"), 5),
        ("batch", "leased_controller", JobRejectedError("no such role"), 0),
        ("batch", "leased_controller", KeyboardInterrupt(), 0),
    ],
)
def test_a_stage_that_fails_is_in_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, broken: str,
    error: BaseException, records: int,
) -> None:  # fmt: skip
    """With the rows that wait. The error is raised all the same."""
    pipeline = open_pipeline(tmp_path, canary={"records": records})
    prepare_by_hand(pipeline, 50, 60)
    monkeypatch.setattr(submission, "ask_canary", lambda *_: None)

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(submission, broken, fail)
    with pytest.raises(type(error)):
        pipeline.advance()
    report = json.loads(pipeline.run.storage.read("report.json"))
    assert (report["stage"], report["error"]["kind"]) == (stage, type(error).__name__)
    assert report["state"] == ("failed" if isinstance(error, Exception) else "interrupted")
    assert report["outcomes"]["waiting"] == report["rows"] == 110


def test_a_fallback_that_gave_up_has_had_its_chance_for_every_process(tmp_path: Path) -> None:
    """So collect may publish what run could not, and asks nothing for it."""
    settings = {"fallback": {"model_id": PROVISIONED}, "results": {"path": str(tmp_path / "out")}}
    shards = [ReconciledShard(unit="shard-0", rows=5, outcomes={"missing": 5}, unanswered=5)]
    pipeline = open_pipeline(tmp_path / "run", **settings)
    prepare_by_hand(pipeline, 5)
    assert pipeline.report(shards).state == "unfinished"
    ended = SimpleNamespace(
        gave_up=True,
        reason="fallback.rounds: 2 are used up",
        run=pipeline.run,
        clock=pipeline.clock,
    )
    note_end_of(cast("Fallback", ended), 5, pipeline._reporter)
    later = open_pipeline(tmp_path / "run", **settings)
    state = Ledger(later.run.storage).load()
    assert later._why_not_final(shards, state) is None
    (finding,) = pipeline.report(shards).findings[:1]
    assert finding["kind"] == "fallback_ended"
