"""`bedrock-spark init`: by options, and by questions on a terminal."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from bedrock_spark.check import check_config
from bedrock_spark.cli import init as command
from bedrock_spark.cli import main
from bedrock_spark.starter.make import name_of_source, source_section

PLACE = ["--run-folder", "s3://my-bucket/runs/x", "--role", "arn:aws:iam::123456789012:role/R"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setattr(command, "account_id", lambda _aws, **_: None)
    rows = "".join(f"T-{n},ticket {n} about a long story\n" for n in range(20))
    (tmp_path / "tickets.csv").write_text(f"ticket_id,body\n{rows}")
    return tmp_path


def call(*arguments: str, answers: str | None = None) -> Result:
    return CliRunner().invoke(main, ["init", *arguments], answers, prog_name="bedrock-spark")


def config_in(path: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(Path(path).read_text("utf-8"))
    check_config(path)
    return values


def test_options_make_a_config_that_passes_check() -> None:
    done = call("--source", "tickets.csv", "--task", "classify", *PLACE, "--json")
    assert done.exit_code == 0
    made = json.loads(done.stdout)
    assert made["notes"] == []
    assert [Path(file).exists() for file in made["files"]] == [True] * 5
    values = config_in("tickets.yaml")
    assert values["source"] == {"path": "tickets.csv", "key": ["ticket_id"]}
    assert "{{ body }}" in values["request"]["prompt"]
    assert values["batch"]["region"] == "eu-west-1"
    assert values["budget"] == {"max_cost_usd": 5}


def test_a_config_elsewhere_names_the_source_from_there() -> None:
    """The commands are typed in the folder of the config."""
    assert call("sub", "--source", "tickets.csv", "--prompt", "Sum up.", *PLACE).exit_code == 0
    values = config_in("sub/tickets.yaml")
    assert values["source"]["path"] == "../tickets.csv"
    assert values["request"]["prompt"] == "Sum up.\n\n{{ body }}"


@pytest.mark.parametrize("column", ["text", "Outcome", "label"])
def test_a_column_with_the_name_of_a_result_gets_results_with_a_prefix(column: str) -> None:
    """Else the run would end before it asks anything."""
    Path("odd.csv").write_text(f"id,{column}\n1,some words\n2,more\n")
    assert call("--source", "odd.csv", "--task", "classify", *PLACE).exit_code == 0
    assert config_in("odd.yaml")["results"]["prefix"] == "llm_"


def test_what_a_csv_needs_is_in_the_config() -> None:
    """A header if the name does not tell the format, and values of several lines."""
    Path("lake").mkdir()
    Path("lake/part").write_text('id,body\n1,"one\ntwo"\n2,three\n')
    done = call("--source", "lake", "--format", "csv", "--task", "classify", *PLACE)
    assert done.exit_code == 0, done.stderr
    source = config_in("lake.yaml")["source"]
    assert source["options"] == {"header": True, "multiLine": True}
    assert (source["path"], source["format"], source["key"]) == ("lake", "csv", ["id"])


def test_an_absolute_path_stays_one_and_a_folder_is_quoted() -> None:
    path = str(Path("tickets.csv").absolute())
    done = call("my folder", "--source", path, "--task", "classify", *PLACE)
    assert done.exit_code == 0, done.stderr
    assert config_in("my folder/tickets.yaml")["source"]["path"] == path
    assert "cd 'my folder' && bedrock-spark check tickets.yaml" in done.stdout


def test_no_file_is_ever_replaced() -> None:
    """Not even one of several, and nothing is written beside it."""
    Path("tickets-iam").mkdir()
    Path("tickets-iam/trust.json").write_text("mine")
    done = call("--source", "tickets.csv", "--task", "classify", *PLACE)
    assert done.exit_code == 1
    assert "tickets-iam/trust.json: exists already" in done.stderr
    assert Path("tickets-iam/trust.json").read_text() == "mine"
    assert not Path("tickets.yaml").exists()


def test_what_is_a_guess_is_said() -> None:
    """A bucket, an account: in the output, and in the config."""
    done = call("demo", "--example", "embed")
    assert done.exit_code == 0
    assert "note  run_uri: s3://my-bucket/runs is a guess" in done.stdout
    assert "batch.role_arn: the account 123456789012 is a guess" in done.stdout
    assert "next  cd demo && bedrock-spark check embed.yaml" in done.stdout
    assert "account 123456789012 is a guess" in Path("demo/embed.yaml").read_text()


def test_a_terminal_is_asked_five_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has a proposal but the first; Enter takes it."""
    monkeypatch.setattr(command, "is_terminal", lambda: True)
    done = call(answers="tickets.csv\n\nextract\n\ns3://my-bucket/runs/mine\n")
    assert done.exit_code == 0, done.stderr
    questions = ["Source", "Key", "What to ask", "Model", "Run folder"]
    # One after the other; some versions of click end their lines on the other stream.
    assert re.findall("|".join(rf"{q}(?=[^:]*:)" for q in questions), done.stderr) == questions
    values = config_in("tickets.yaml")
    assert values["source"]["key"] == ["ticket_id"]
    assert values["results"]["parse"]["columns"].startswith("customer string")


def test_the_end_of_the_input_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["tickets.csv"])

    def answer(*_: object, **__: object) -> str:
        for given in answers:
            return given
        raise click.Abort

    monkeypatch.setattr(command, "is_terminal", lambda: True)
    monkeypatch.setattr(click, "prompt", answer)
    done = call()
    assert done.exit_code == 130
    assert "nothing was written" in done.stderr
    assert not Path("tickets.yaml").exists()


@pytest.mark.parametrize("bucket", ["s3://my-bucket", "s3://my-bucket/", "s3:///"])
def test_a_run_folder_is_no_whole_bucket(bucket: str) -> None:
    """The results would be in `my-bucket-answers`, which may be anybody's."""
    done = call("--source", "tickets.csv", "--task", "embed", "--run-folder", bucket)
    assert (done.exit_code, "name a folder in it" in done.stderr) == (2, True)
    assert [path.name for path in Path().iterdir()] == ["tickets.csv"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 3, "give --source, --task or --prompt, --run-folder; on a terminal, init asks"),
        (["--source", "absent.csv", "--task", "embed"], 3, "absent.csv: does not exist"),
        (["--source", "tickets.csv", "--prompt", "{{ bdy }}"], 3, "did you mean body"),
        (["--source", "tickets.csv", "--task", "describe-images"], 3, "no column holds images"),
        (["--source", "tickets.csv", "--task", "embed", "--key", "x"], 3, "has no column x"),
        (["--source", "tickets.csv", "--task", "embed", "--prompt", "a"], 2, "two questions"),
        (["--source", "tickets.csv", "--task", "embed", "--model", "x.y"], 3, "request.dimensions"),
        (["--example", "embed", "--key", "x"], 2, "--key does not go with --example"),
        (["--example", "embed", "--name", "x"], 2, "--name does not go with --example"),
        (["--example", "embed", "--format", "csv"], 2, "--format does not go with --example"),
        (["--source", "tickets.csv", "--task", "embed", "--name", "../x"], 2, "only letters"),
        (["--source", "tickets.csv", "--task", "embed", "--name", "a b"], 2, "only letters"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(
    arguments: list[str], code: int, said: str
) -> None:
    done = call(*arguments, *(PLACE if arguments else []))
    assert (done.exit_code, said in done.stderr) == (code, True), done.stderr
    assert [path.name for path in Path().iterdir()] == ["tickets.csv"]


@pytest.mark.parametrize(
    ("text", "section", "name"),
    [
        ("a/tickets.csv", {"path": "a/tickets.csv"}, "tickets"),
        ("x.jsonl.gz", {"path": "x.jsonl.gz"}, "x"),
        ("s3://lake/tickets/", {"path": "s3://lake/tickets/", "format": "parquet"}, "tickets"),
        ("lake.db.tickets", {"table": "lake.db.tickets"}, "tickets"),
        ("tickets", {"table": "tickets"}, "tickets"),
        ("here", {"path": "here", "format": "parquet"}, "here"),
        ("x" * 5_000, {"table": "x" * 5_000}, "x" * 5_000),
        ("select * from t", {"sql": "select * from t"}, "questions"),
        ("s3://b/a b/", {"path": "s3://b/a b/", "format": "parquet"}, "a-b"),
    ],
)
def test_a_source_is_a_path_a_table_or_a_query(
    text: str, section: dict[str, str], name: str
) -> None:
    Path("here").mkdir()
    assert source_section(text) == section
    assert name_of_source(section) == name
