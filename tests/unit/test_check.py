"""The check of a whole config: every problem at once, by every way into the package."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from bedrock_spark.check import check_config
from bedrock_spark.cli import commands
from bedrock_spark.config import parse_config
from bedrock_spark.errors import ConfigError
from bedrock_spark.pipeline import Pipeline
from tests.unit.fakes import ACCOUNT, CLAUDE, CLAUDE_MODEL, ROLE, config_values

EMBED = "amazon.titan-embed-text-v2:0"
HAIKU_45 = "anthropic.claude-haiku-4-5-20251001-v1:0"
MANY = f"""\
run_uri: s3://my-bucket/runs/tickets
source:
  format: paruqet
  path: s3://lake/tickets/
  kee: ticket_id
model: amazon.nova-litte-v1:0
request:
  prompt: {{{{ body | uppercase }}}}
  max_tokens: many
  system: "{{{{ Major Genre }}}}"
batch:
  role_arn: {ROLE}
  region: us-eest-1
prices: {{batch: {{input: 0.25, output: 1.25}}}}
results: {{path: s3://lake/tickets/out, format: csv, parse: [label, score dbl]}}
"""
MANY_LINES = [
    (3, "source.format = 'paruqet': is no format of Spark; did you mean parquet?"),
    (5, "source.kee: unknown key; did you mean key? "),
    (6, "model.id = 'amazon.nova-litte-v1:0': is no known model id; did you mean amazon.nova-lite"),
    (8, "request.prompt: has {{ }} without quotes"),
    (
        8,
        "request.prompt: is not a valid template: No filter named 'uppercase'. Did you mean upper?",
    ),
    (9, "request.max_tokens: must be a whole number"),
    (10, "request.system: is not a valid template: expected token"),
    (13, "batch.region = 'us-eest-1': is no AWS Region; did you mean us-"),
    (14, "prices.batch.input = 0.25: is in dollars per 1,000 tokens, so this is $250 per million"),
    (14, "prices.batch.output = 1.25: is in dollars per 1,000 tokens"),
    (15, "results.format = 'csv': cannot hold the columns embedding and images"),
    (15, "results.parse.columns: has the type dbl"),
    (15, "results.path = 's3://lake/tickets/out' is below source.path"),
]


def written(folder: Path, text: str, name: str = "tickets.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def problems(config: Any, overrides: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check_config(config, overrides)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_every_problem_is_found_at_once_with_its_line(tmp_path: Path) -> None:
    """Of the text, of the keys and values, and of what they mean."""
    path = written(tmp_path, MANY)
    found = problems(path)
    assert len(found) == len(MANY_LINES)
    for line, text in MANY_LINES:
        assert sum(f.startswith(f"{path}:{line}: {text}") for f in found) == 1, text
    numbers = [int(f.removeprefix(f"{path}:").split(":")[0]) for f in found]
    assert numbers == sorted(numbers)


def test_plain_values_and_json_have_the_same_problems(tmp_path: Path) -> None:
    """Without a file there are no lines. JSON has lines, like YAML."""
    values = yaml.safe_load(
        MANY.replace("{{ body", "'{{ body").replace("uppercase }}", "uppercase }}'")
    )
    texts = [text for _, text in MANY_LINES if "without quotes" not in text]
    path = written(tmp_path, json.dumps(values, indent=2), "tickets.json")
    for found, prefix in ((problems(values), ""), (problems(path), f"{path}:")):
        assert len(found) == len(texts)
        assert all(f.startswith(prefix) for f in found)
        for text in texts:
            assert sum(text in f for f in found) == 1


def test_a_problem_of_an_override_names_it(tmp_path: Path) -> None:
    """The file is not at fault."""
    path = written(tmp_path, yaml.safe_dump(config_values()))
    overrides = ("batch.region=us-eest-1", "shards=5", "request.top_p", "request.prompt={{ a b }}")
    assert {line.split(":")[0] for line in problems(path, overrides)} == {
        "--set request.top_p",
        "--set shards = 5",
        "--set batch.region = 'us-eest-1'",
        "--set request.prompt",
    }


@pytest.mark.parametrize(
    ("sections", "lines"),
    [
        ({"request": {"prompt": "{{ a }}"}}, ["request.max_tokens: Anthropic models require it"]),
        (
            {
                "model": EMBED,
                "request": {"prompt": "{{ a }}", "max_tokens": 1, "temperature": 0, "system": "x"},
            },
            [
                "request.system: models of the family titan_embeddings do not take it",
                "request.max_tokens: models of the family titan_embeddings do not take it",
                "request.temperature: models of the family titan_embeddings do not take it",
            ],
        ),
        (
            {
                "model": "meta.llama3-8b-instruct-v1:0",
                "request": {"prompt": "<|eot_id|>{{ a }}", "stop": "x", "images": "photo"},
            },
            [
                "request.images: models of the family llama3 do not take it",
                "request.stop: models of the family llama3 do not take it",
                "request.prompt: holds <|eot_id|>, but the family llama3 puts",
            ],
        ),
        (
            {"request": {"prompt": "Say hello", "max_tokens": 5}},
            ["request.prompt: has no {{ column }} placeholder; every row would send the same"],
        ),
        (
            {
                "model": {"id": EMBED},
                "request": {"body": {"a": ["{{ x", {"b": "{{ y | z }}"}]}},
            },
            [
                "request.body.a[0]: is not a valid template: a {{ or {% is not closed",
                "request.body.a[1].b: is not a valid template: No filter named 'z'",
            ],
        ),
        (
            {
                "model": HAIKU_45,
                "request": {"prompt": "{{ a }}", "max_tokens": 5, "temperature": 0, "top_p": 1},
            },
            ["request.temperature, request.top_p: this model takes one of"],
        ),
        (
            {
                "model": "amazon.nova-micro-v1:0",
                "request": {"prompt": "{{ a }}", "max_tokens": 10**6},
            },
            ["request.max_tokens: is more than the 10,000 tokens this model can write"],
        ),
        (
            {
                "model": {"id": CLAUDE, "invocation": "converse"},
                "request": {"prompt": "{{ a }}", "system": " "},
            },
            ["request.system: is empty text"],
        ),
        ({"model": {"id": "acme"}}, ["model.id = 'acme': the id does not show its family"]),
        (
            {"model": {"id": "acme.gpt-1", "invocation": "invoke_model"}},
            ["model.id = 'acme.gpt-1': the id does not show its family"],
        ),
        (
            {"model": "stability.stable-image-inpaint-v1:0", "budget": 5, "prices": {"image": 1}},
            [
                "model.id = 'stability.stable-image-inpaint-v1:0': makes or changes images, and no "
                "family builds its requests. Write the whole request as request.body",
            ],
        ),
        (
            {"model": "acme.gpt-1", "request": {"prompt": "{{ a }}", "top_k": 5}},
            ["request.top_k: models of the family converse do not take it"],
        ),
        (
            {"model": {"id": CLAUDE, "family": "claude"}},
            ["model.family = 'claude': must be one of"],
        ),
        (
            {"targets": [{"model_id": CLAUDE}, {"model_id": "antropic.claude-v2", "region": "x"}]},
            [
                "targets[1].model_id = 'antropic.claude-v2': is no known model id",
                "targets[1].region = 'x': is no AWS Region; a Region is named like us-east-1",
            ],
        ),
        (
            {"fallback": "us.amazon.nova-lit-v1:0"},
            ["fallback.model_id = 'us.amazon.nova-lit-v1:0': is no known model id; did you mean"],
        ),
        (
            {
                "fallback": "us.amazon.nova-lit-v1:0",
                "request": {"prompt": "{{ a }}", "max_tokens": 5, "width": 9},
            },
            [
                "fallback.model_id = 'us.amazon.nova-lit-v1:0': is no known model id; did you mean",
                "request.width: models of the family anthropic do not take it",
            ],
        ),
        ({"targets": {"model_id": CLAUDE}}, ["targets: must be a list"]),
        (
            {"results": {"max_errors": float("nan")}, "source": {"max_rejects": float("nan")}},
            [
                "results.max_errors = nan: must be a number of rows, or a share from 0 to 1",
                "source.max_rejects = nan: must be a number of rows, or a share from 0 to 1",
            ],
        ),
        (
            {"budget": 5, "prices": {"source": "none", "image": 1}},
            ["budget.max_cost_usd needs prices.batch"],
        ),
        (
            {
                "budget": 5,
                "prices": "none",
                "results": {"mode": "merge", "format": "delta", "table": "t"},
                "source": {},
            },
            [
                "budget.max_cost_usd needs prices.batch",
                "results.mode: merge needs source.key",
            ],
        ),
    ],
)
def test_what_a_model_refuses_is_told_by_the_users_keys(
    sections: dict[str, Any], lines: list[str]
) -> None:
    """Not by the keys of the body that the family builds. All options at once."""
    values = {**config_values(), **sections}
    found = problems(values)
    assert len(found) == len(lines)
    for line in lines:
        assert sum(f.startswith(line) for f in found) == 1, found


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"model": "anthropic.claude-sonnet-6-20270101-v1:0"},
        {"model": {"id": "amazon.nova-litte-v1:0", "family": "nova"}},
        {"model": "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"},
        {"batch": {"role_arn": ROLE, "region": "ap-southeast-9"}},
        {"source": {"format": "com.acme.spark.Reader", "path": "x"}},
        {"source": {"format": "parrot", "path": "x"}},
        {"results": {"format": "csv"}},
        {"prices": {"batch": {"input": 0.015, "output": 0.075}}},
        {
            "prices": {"batch": {"input": 15, "output": 75}},
            "batch": {"role_arn": ROLE, "lint": "ignore"},
        },
    ],
)
def test_what_may_be_right_is_no_problem(sections: dict[str, Any]) -> None:
    """New models, Regions and formats, and what the config says on purpose."""
    check_config({**config_values(), **sections})


WAYS: dict[str, Callable[[Path], object]] = {
    "check_config": check_config,
    "Pipeline.open": Pipeline.open,
    **{
        command: lambda path, command=command: CliRunner().invoke(  # type: ignore[misc]
            commands.main, [command, str(path)]
        )
        for command in ("check", "run", "prepare", "submit", "advance", "collect", "fallback")
    },
    "invoke": lambda path: CliRunner().invoke(
        commands.main, ["invoke", "--config", str(path), "--row", "{}"]
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_begins_with_the_same_check(way: str, tmp_path: Path) -> None:
    """The same words, the exit code of a wrong config, and nothing is written."""
    path = written(tmp_path, MANY.replace("s3://my-bucket/runs", str(tmp_path / "runs")))
    expected = problems(path)
    try:
        result: Any = WAYS[way](path)
    except ConfigError as exc:
        shown = str(exc)
    else:
        shown, see, _ = result.stderr.rpartition("see: bedrock-spark help config\n")
        assert (result.exit_code, bool(see)) == (3, True)
        assert shown.startswith("error: ")
    assert [line.strip() for line in shown.splitlines()[1:]] == expected
    assert [child.name for child in tmp_path.iterdir()] == ["tickets.yaml"]


def test_a_config_that_was_read_before_keeps_its_lines(tmp_path: Path) -> None:
    """The problems that `load_config` does not look for come with the line all the same."""
    values = config_values(batch={"region": "us-eest-1"})
    path = written(tmp_path, yaml.safe_dump(values))
    config = parse_config(values)
    assert problems(config)[0].startswith("batch.region")
    from bedrock_spark.config_file import load_config

    loaded = load_config(path)
    assert loaded == config
    assert problems(loaded)[0].startswith(f"{path}:")


GOOD = f"""\
run_uri: s3://my-bucket/runs/tickets
source: s3://lake/tickets.csv
model: amazon.nova-lite-v1:0
request:
  prompt: 'Classify: {{{{ body }}}} {{{{ row["Major Genre"] }}}}'
  max_tokens: 20
batch: {{role_arn: "{ROLE}", region: us-east-1}}
prices: {{batch: {{input: 0.00003, output: 0.00012}}, fallback: {{input: 0, output: 0}}}}
budget: 5
fallback: amazon.nova-lite-v1:0
results: {{path: s3://lake/labels, parse: [label, score double]}}
"""


def test_check_says_what_a_config_means(tmp_path: Path) -> None:
    """Model, source, places, fallback and budget. The prompt is not shown."""
    path = written(tmp_path, GOOD)
    result = CliRunner().invoke(commands.main, ["check", str(path)])
    assert result.exit_code == 0, result.stderr
    for text in (
        f"{path}: no problem found",
        "amazon.nova-lite-v1:0 (family nova), jobs in us-east-1",
        "csv s3://lake/tickets.csv; no key; the request reads Major Genre, body",
        "s3://my-bucket/runs/tickets",
        "parquet s3://lake/labels, overwrite\n",
        "of each answer: label string, score double\n",
        "amazon.nova-lite-v1:0 is asked what batch jobs leave",
        "at most $5",
        "batch $0.03 in, $0.12 out; fallback $0 in, $0 out per million tokens\n",
        "from         the config's own\n",
    ):
        assert text in result.stdout
    assert "Classify" not in result.stdout
    less = [
        "check",
        str(path),
        "--set",
        "fallback=null",
        "--set",
        "budget=null",
        "--set",
        "results.path=",
    ]
    result = CliRunner().invoke(commands.main, less)
    assert "there is no fallback" in result.stdout
    assert "in the run folder only" in result.stdout
    assert "no limit" in result.stdout


def test_check_says_that_records_go_through_converse_and_why(tmp_path: Path) -> None:
    """Nobody wrote it into the config."""
    for changes, why in (
        (["model=us.xai.grok-4.7"], "no family is known for us.xai.grok-4.7"),
        (
            ["model=mistral.pixtral-large-2502-v1:0", "request.images=photo"],
            "mistral.pixtral-large-2502-v1:0 takes images only in Converse requests",
        ),
    ):
        options = [word for change in changes for word in ("--set", change)]
        result = CliRunner().invoke(
            commands.main, ["check", str(written(tmp_path, GOOD)), *options]
        )
        assert f"(family converse, because {why}), jobs in us-east-1" in result.stdout


def test_check_imports_no_spark_and_opens_no_connection(tmp_path: Path) -> None:
    """In a new interpreter, in which no socket can be made and PySpark cannot be imported."""
    program = (
        "import socket, sys\n"
        "def refuse(*_, **__): raise AssertionError('a connection')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "sys.modules['pyspark'] = None\n"
        "from bedrock_spark.cli.commands import main\n"
        "main(['check', sys.argv[1]])\n"
    )
    for text, code in ((GOOD, 0), (MANY, 3)):
        path = written(tmp_path, text)
        done = subprocess.run(
            [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr


def test_the_example_of_the_docs_shows_the_real_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/config.md: the config, and what the command says about it."""
    page = (Path(__file__).parents[2] / "docs" / "config.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml check\n(.*?)```.*?```text\n(.*?)```", page, re.DOTALL)
    assert example is not None
    monkeypatch.chdir(tmp_path)
    written(tmp_path, example[1])
    result = CliRunner().invoke(commands.main, ["check", "tickets.yaml"])
    assert result.stderr == example[2]
    assert result.exit_code == 3


@pytest.mark.parametrize(
    ("model", "has_fault"),
    [
        (CLAUDE_MODEL, False),
        (CLAUDE, False),
        (f"arn:aws:bedrock:us-east-1::foundation-model/{CLAUDE_MODEL}", False),
        (f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/{CLAUDE}", False),
        (f"arn:aws:bedrock:us-east-1:{ACCOUNT}:custom-model/{CLAUDE_MODEL}/abcdefghijkl", True),
        (f"arn:aws:bedrock:us-east-1:{ACCOUNT}:application-inference-profile/a1b2c3", True),
    ],
)
def test_a_cost_profile_is_made_of_some_models_only(model: str, has_fault: bool) -> None:
    """The service copies foundation models and system-defined profiles."""
    values = config_values(model={"id": model, "family": "anthropic"}, batch={"cost_profile": True})
    if not has_fault:
        assert check_config(values).batch.cost_profile
        return
    with pytest.raises(ConfigError, match=r"batch\.cost_profile: model\.id = "):
        check_config(values)
