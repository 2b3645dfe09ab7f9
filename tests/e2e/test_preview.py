"""A preview against the local Bedrock: it asks, reads and counts as a run does."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyspark.sql import DataFrame, SparkSession

from bedrock_emulator import LocalBedrock
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.cli import main
from bedrock_spark.config import Config
from bedrock_spark.config.row_choice import RowChoice
from bedrock_spark.errors import (
    BudgetError,
    ConfigError,
    ExitCode,
    InvokeRefusedError,
    PlanError,
)
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.preview import preview, render
from bedrock_spark.preview.options import PreviewOptions
from bedrock_spark.preview.values import AnsweredRow, Preview
from bedrock_spark.spark.prepare.first_rows import read_first_rows
from bedrock_spark.ui.app import create_app
from bedrock_spark.ui.guard import cookie_name
from bedrock_spark.ui.settings import UiSettings
from tests.e2e.conftest import BUCKET
from tests.spark_sessions import CLAUDE, make_config

Start = Callable[..., LocalBedrock]
PRICE = {"input": 0.001, "output": 0.002}
QUOTING = "bad: About failing on 2026"
ANSWERS: list[dict[str, Any]] = [
    {"match": "forbidden", "refuses": True},
    {"match": "broken", "text": "no JSON"},
    {"match": "endless", "text": '{"label": "' + "word " * 50},
    {
        "match": "failing",
        "error": {"code": "ValidationException", "message": "bad: About failing on 2026"},
    },
    {"match": "text", "text": {"label": "plain"}},
]
BODIES = ["text 1", "forbidden", "broken", "endless", "failing", None, "text 2", "text 1"]
OUTCOMES = ["ok", "refused", "invalid", "truncated", "error", "rejected", "ok", "ok"]


@pytest.fixture
def rows(spark: SparkSession) -> DataFrame:
    day, data = dt.date(2026, 11, 1), bytes(range(9))
    values = [(n, body, day, data, "long " * 200) for n, body in enumerate(BODIES)]
    return spark.createDataFrame(values, "id int, body string, day date, data binary, notes string")


@pytest.fixture
def local(bedrock: Start) -> LocalBedrock:
    local = bedrock({"quotas": {"min_records": 10}})
    local.set_answers(*ANSWERS)
    return local


def config_of(local: LocalBedrock, **sections: Any) -> Config:
    parse = {"results": {"parse": "label string"}, "prices": {"batch": PRICE}}
    request = {"prompt": "About {{ body }} on {{ day }}", "max_tokens": 20, "schema": "none"}
    return make_config(
        f"s3://{BUCKET}/runs/preview",
        **{"endpoint_url": local.endpoint_url, "request": request, **parse, **sections},
    )


def bill_of(local: LocalBedrock) -> Decimal:
    counts = local.usage()["totals"]
    online = counts["invocation_input_tokens"] + 2 * counts["invocation_output_tokens"]
    return 2 * Decimal(online) / 1_000_000


@pytest.mark.long
def test_each_row_ends_as_in_a_run_and_costs_what_is_billed(
    spark: SparkSession, local: LocalBedrock, rows: DataFrame
) -> None:
    """And nothing is written."""
    config = config_of(local, fallback={"model_id": CLAUDE})
    seen: list[int] = []
    found = preview(spark, rows, config, on_row=lambda _, row: seen.append(row.number))
    (one,) = found.previews
    assert [row.outcome for row in one.rows] == OUTCOMES
    assert sorted(seen) == [row.number for row in one.rows] == [*range(1, 9)]
    assert one.cost == bill_of(local) == sum(row.cost or 0 for row in one.rows)
    assert one.cost <= (one.estimate.high if one.estimate and one.estimate.high else 0)
    assert local.client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0
    cut = f"{('long ' * 200)[:500]}…"
    kept = {"id": 0, "body": "text 1", "day": "2026-11-01", "data": "9 bytes", "notes": cut}
    assert one.rows[0].row == kept
    assert (one.rows[4].error_code, one.rows[4].reason) == (400, "bad: …")
    assert one.rows[5].reason == "body is null"
    assert_whole(found, local)
    results = run_of(spark, config, rows)
    assert [results[n]["outcome"] for n in range(8)] == OUTCOMES
    for n, row in enumerate(one.rows):
        assert results[n]["label"] == (row.columns or {}).get("label")
        assert results[n]["text"] == row.text


def run_of(spark: SparkSession, config: Config, rows: DataFrame) -> dict[int, Any]:
    """Return the result of each row of a run, which asks so few rows by the fallback."""
    pipeline = Pipeline.open(config)
    pipeline.run_all(spark, rows)
    return {row["id"]: row for row in pipeline.results(spark).collect()}


def assert_whole(found: Preview, local: LocalBedrock) -> None:
    """So few rows are asked on demand; without a price for the fallback, it is not known."""
    whole = found.previews[0].whole
    assert whole is not None
    assert whole.records == len(BODIES)
    assert whole.output_tokens.likely is not None
    assert whole.input_tokens.how == "6 rows of the preview"


def test_the_whole_costs_what_the_answers_of_the_preview_say(
    spark: SparkSession, local: LocalBedrock
) -> None:
    """4,000 records by batch, at half the price, and a canary of 5 on demand."""
    rows = spark.range(4000).selectExpr("cast(id as int) id", "'text' body", "date'2026-11-01' day")
    config = config_of(local, canary={"records": 5})
    (one,) = preview(spark, rows, config, PreviewOptions(rows=10)).previews
    assert one.cost is not None
    assert one.whole is not None
    assert one.whole.cost is not None
    assert one.whole.cost.likely is not None
    each = one.cost / 10
    expected = 4000 * each / 2 + 5 * each
    assert float(one.whole.cost.likely) == pytest.approx(float(expected), rel=0.05)
    assert one.whole.cost.low <= one.whole.cost.likely <= (one.whole.cost.high or 0)


def test_no_more_is_asked_than_the_limit_allows(
    spark: SparkSession, local: LocalBedrock, rows: DataFrame
) -> None:
    config = config_of(local)
    with pytest.raises(BudgetError, match=r"one row may cost \$0.00\d+, more than --max-cost"):
        preview(spark, rows, config, PreviewOptions(max_cost=Decimal("0.00001")))
    assert bill_of(local) == 0
    limit = Decimal("0.0003")
    found = preview(spark, rows, config, PreviewOptions(max_cost=limit, has_whole=False))
    assert 0 < bill_of(local) <= limit
    assert found.unasked > 0
    assert found.previews[0].whole is None
    reasons = {row.reason for row in found.previews[0].rows if row.outcome == "missing"}
    assert reasons == {"not asked: it may cost more than is left of $0.0003"}


def test_two_configs_are_asked_about_the_same_rows(
    spark: SparkSession, local: LocalBedrock, rows: DataFrame
) -> None:
    """The other one's source is not read. Rows with equal bodies share an answer, as in a run."""
    config = config_of(local)
    request = {**config.request.model_dump(exclude_defaults=True), "dedupe": True}
    request["prompt"] = "Say something about {{ body }}"
    other = config_of(local, request=request, source={"path": "/absent", "format": "parquet"})
    options = PreviewOptions(where="body like 'text%' or body = 'broken'", has_prompts=True)
    found = preview(spark, rows, config, options, compare=other, names=("a", "b"))
    one, two = found.previews
    assert (
        [row.row["id"] for row in one.rows] == [row.row["id"] for row in two.rows] == [0, 2, 6, 7]
    )
    assert found.same == 4
    assert [row.shares for row in two.rows] == [None, None, None, 1]
    assert (two.rows[3].cost, two.rows[3].outcome) == (0, "ok")
    assert one.rows[0].request != two.rows[0].request
    assert (one.cost or 0) + (two.cost or 0) == bill_of(local)


def test_render_shows_the_bodies_and_asks_nothing(
    spark: SparkSession, local: LocalBedrock, rows: DataFrame
) -> None:
    (one,) = render(spark, rows, config_of(local)).previews
    assert [row.outcome for row in one.rows].count("missing") == 7
    text = one.rows[0].request["messages"][0]["content"][0]["text"]
    assert text == "About text 1 on 2026-11-01"
    assert set(local.requests()) == {"s3:PUT"}  # the bucket of the test


@pytest.mark.parametrize(
    ("where", "error", "message"),
    [
        ("bdy = 1", ConfigError, r"^--where: .*bdy"),
        ("id = ", ConfigError, r"^--where: "),
        ("id = 99", PlanError, "source: has no row for which id = 99 is true"),
    ],
)
def test_a_condition_that_chooses_no_row_says_why(
    spark: SparkSession,
    local: LocalBedrock,
    rows: DataFrame,
    where: str,
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        preview(spark, rows, config_of(local), PreviewOptions(where=where))
    if error is ConfigError:  # the page of rows has no option
        choice = RowChoice(1, where, where_name="the condition")
        with pytest.raises(ConfigError, match=r"^the condition: "):
            read_first_rows(spark, config_of(local), AwsSettings("us-east-1"), rows, choice)


def test_spark_finds_a_row_for_each_key_and_names_the_others(
    spark: SparkSession, local: LocalBedrock, rows: DataFrame
) -> None:
    """A key of many rows hides no other one."""
    asked = rows.select("id", "body", "day")
    found = asked.where("id = 1")
    many = found.union(found).union(found).union(asked).coalesce(1)
    config, aws = config_of(local), AwsSettings("us-east-1")

    def ids(*keys: str) -> list[int]:
        choice = RowChoice(1, keys=tuple((key,) for key in keys))
        return [row.id for row in read_first_rows(spark, config, aws, many, choice).rows]

    assert ids("7", "1", "0") == [1, 0, 7]
    with pytest.raises(PlanError, match="has no row with 2 of the 3 keys: '99', '98'; correct"):
        ids("99", "1", "98")


def test_a_model_that_cannot_be_called_says_what_to_do(
    spark: SparkSession, local: LocalBedrock, rows: DataFrame
) -> None:
    config = config_of(local, model={"id": "anthropic.claude-haiku-4-5-20251001-v1:0"})
    with pytest.raises(InvokeRefusedError, match=r"cannot be called on demand.*profile"):
        preview(spark, rows, config)


@pytest.fixture
def path(
    local: LocalBedrock, rows: DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Return a config whose source is in a folder."""
    rows.drop("day", "data").coalesce(1).write.parquet(str(tmp_path / "rows"))
    config = config_of(local, request={"prompt": "About {{ body }}", "max_tokens": 20})
    values = config.model_dump(mode="json", exclude_defaults=True)
    values["source"] = {"path": str(tmp_path / "rows"), "format": "parquet", "key": ["id"]}
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(yaml.safe_dump(values))
    values["request"]["prompt"] = "Or about {{ body }}"
    Path("b.yaml").write_text(yaml.safe_dump(values))
    return tmp_path


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main([*arguments], prog_name="bedrock-spark")
    return int(ended.value.code or 0)


def test_the_command_prints_a_table(
    spark: SparkSession, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("preview", "a.yaml", "--prompts") == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[0].split() == ["row", "id", "outcome", "label", "in/out", "cost", "time"]
    assert any(line.split()[:4] == ["1", "0", "ok", "plain"] for line in lines)
    assert '"About text 1"' in shown.out
    assert f"asks {CLAUDE} about 7 rows" in shown.err
    assert "the whole  8 rows" in shown.out
    assert "3 of 7 answers are ok, for $" in lines[-1]


def test_the_command_compares_and_prints_json(
    spark: SparkSession, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("preview", "a.yaml", "--compare", "b.yaml", "--no-whole", "--rows", "2") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["a.yaml", "b.yaml"]
    assert lines[2].split()[0] in "12"
    assert lines[2].split()[-1] == "same"
    assert call("preview", "a.yaml", "--json", "--where", "id = 2") == 7
    values = json.loads(capsys.readouterr().out)
    assert values["error"]["kind"] == "rows"
    assert [AnsweredRow(**row).reason for row in values["previews"][0]["rows"]] == [
        "the answer holds no JSON object"
    ]
    assert call("preview", "a.yaml", "--render", "--rows", "6") == 0
    assert "row 6: rejected\n      body is null" in capsys.readouterr().out


def test_the_command_asks_rows_at_random_and_rows_by_key(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As its page does: without Spark, and the same ones for the same seed."""

    def bodies(*options: str) -> list[str]:
        assert call("preview", "a.yaml", "--render", *options) == 0
        return [body for body in capsys.readouterr().out.splitlines() if "About" in body]

    one, same, other = (
        bodies("--random", "--rows", "4", *seed) for seed in ((), ("--seed", "0"), ("--seed", "5"))
    )
    assert one == same != other
    assert len(one) + 1 >= 4
    found = bodies("--key", "6", "--key", "2", "--rows", "1")
    assert len(found) == 2
    assert "About broken" in found[0]
    assert "About text 2" in found[1]
    for options, message in (
        (("--seed", "1"), "--seed: chooses rows at random; add --random"),
        (("--key", "1", "--where", "id = 1"), "--key goes with neither --where nor --random"),
        (("--key", ""), "--key: is empty"),
    ):
        assert call("preview", "a.yaml", *options) == 2
        assert message in capsys.readouterr().err
    assert call("preview", "a.yaml", "--key", "2", "--key", "99") == ExitCode.CONFIG
    found = capsys.readouterr()
    assert "source: has no row with 1 of the 2 keys: '99'; correct it" in found.err
    assert "asks" not in found.err


def test_the_command_writes_a_page(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its folder is checked before anything is asked."""
    assert call("preview", "a.yaml", "--html", "no/p.html") == 3
    assert "its folder does not exist" in capsys.readouterr().err
    assert call("preview", "a.yaml", "--html", "p.html", "--rows", "2", "--no-whole") == 0
    html = Path("p.html").read_text("utf-8")
    assert "About text 1" in html
    assert "plain" in html
    assert "page  p.html" in capsys.readouterr().out


@pytest.mark.long
def test_to_try_the_same_rows_again_costs_nothing(
    spark: SparkSession, rows: DataFrame, local: LocalBedrock, tmp_path: Path
) -> None:
    """With a store of answers: those that are ok are asked once, and a run does not ask them."""
    config = config_of(local, answers=str(tmp_path / "store"))
    first = preview(spark, rows, config)
    asked = local.usage()["totals"]["invocations"]
    again = preview(spark, rows, config)
    assert [row.outcome for row in again.previews[0].rows] == OUTCOMES
    ok = [row for row in again.previews[0].rows if row.outcome == "ok"]
    assert [row.text for row in ok] == [
        row.text for row in first.previews[0].rows if row.outcome == "ok"
    ]
    assert all(row.kept_from and row.cost == 0 for row in ok if row.shares is None)
    not_ok = sum(OUTCOMES.count(outcome) for outcome in ("refused", "invalid", "truncated"))
    assert local.usage()["totals"]["invocations"] == asked + not_ok


@pytest.mark.long
def test_the_page_of_rows_shows_a_view_that_only_spark_reads(
    local: LocalBedrock, rows: DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says why Spark reads, asks the rows of a condition, and keeps what cannot be asked."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "local")
    rows.createOrReplaceTempView("preview_rows")
    config = config_of(local).model_dump(mode="json", exclude_defaults=True)
    config["source"] = {"table": "preview_rows", "key": ["id"]}
    path = tmp_path / "view.yaml"
    path.write_text(yaml.safe_dump(config))
    client = create_app(UiSettings(allow_calls=True), "a-token").test_client()
    client.set_cookie(cookie_name("a-token"), "a-token", domain="localhost")
    client.environ_base["HTTP_ORIGIN"] = "http://localhost"

    def page(**query: str) -> str:
        address = {"config": str(path)}
        client.get("/rows", query_string={**address, **query})
        while not (client.get("/rows/state", query_string=address).json or {})["is_there"]:
            pass
        return client.get("/rows", query_string=address).text

    assert "The first 20 rows, read by Spark because" in page()
    shown = page(rows="5", how="where", where="id between 4 and 6")
    assert "2026-11-01" in shown
    (seen,) = re.findall(r'name="seen" value="(\w+)"', shown)[:1]
    reply = client.post(
        "/rows/ask",
        data={"config": str(path), "seen": seen, "limit": "1"},
        headers={"Accept": "application/x-ndjson"},
    )
    lines = [json.loads(line) for line in reply.text.splitlines()]
    assert [line["error"] for line in lines if "end" in line] == [None]
    found = {line["row"]: re.sub("<[^>]*>", " ", line["html"]) for line in lines[:-1]}
    words = [w for text in found.values() for w in {*OUTCOMES} if f" {w} " in text]
    assert sorted(words) == ["error", "ok", "rejected"]
    refused = page(rows="5", how="where", where="no_such_column = 1")
    assert "no_such_column" in refused
