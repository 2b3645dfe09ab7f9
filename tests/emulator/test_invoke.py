"""`bedrock-spark invoke` as a user types it, over HTTP with real boto3."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bedrock_spark.cli import main
from bedrock_spark.clock import SystemClock
from bedrock_spark.config import parse_config
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RunManifest, Shard, manifest_json
from bedrock_spark.run_folder.run import begin_run, open_run
from bedrock_spark.shards.buckets import bucket_of
from bedrock_spark.shards.record_ids import record_id
from tests.docs import ROOT

from .kit import CLAUDE, CLAUDE_MODEL, ROLE, Kit, ask

TEXT_MODELS = [
    CLAUDE,
    "amazon.nova-lite-v1:0",
    "amazon.titan-text-express-v1",
    "cohere.command-text-v14",
    "cohere.command-r-v1:0",
    "meta.llama3-8b-instruct-v1:0",
    "us.meta.llama4-scout-17b-instruct-v1:0",
    "mistral.mistral-7b-instruct-v0:2",
    "mistral.mistral-large-2407-v1:0",
    "ai21.jamba-1-5-mini-v1:0",
    "openai.gpt-oss-20b-1:0",
    "qwen.qwen3-32b-v1:0",
    "us.deepseek.r1-v1:0",
    "deepseek.v3-v1:0",
]
TOOK = re.compile(
    r"tokens: (\d+) in, (\d+) out; \S+; (\$0\.\d+; )?first piece after \d\.\d s, all after .* s\n"
)


@pytest.fixture
def local(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> Kit:
    for name, value in kit.local.environment().items():
        monkeypatch.setenv(name, value)
    return kit


def call(*arguments: str, stdin: str | bytes = "", code: int = 0) -> Any:
    # The endpoint is an option, so that no cached client of another emulator is used.
    endpoint = ["--endpoint-url", os.environ.get("AWS_ENDPOINT_URL", "http://127.0.0.1:9")]
    command = ["invoke", *endpoint, *arguments]
    result = CliRunner().invoke(main, command, input=stdin, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


def provision(kit: Kit, model_id: str) -> str:
    arn: str = kit.bedrock.create_provisioned_model_throughput(
        modelUnits=1, provisionedModelName=f"{kit.bucket}", modelId=model_id
    )["provisionedModelArn"]
    return arn


def config_values(kit: Kit, **model: Any) -> dict[str, Any]:
    return {
        "run_uri": f"s3://{kit.bucket}/runs/tickets",
        "source": {"key": ["ticket_id"]},
        "model": {"id": CLAUDE, **model},
        "request": {"prompt": "Classify: {{ body }}", "max_tokens": 40},
        "batch": {"role_arn": ROLE, "region": "us-east-1"},
    }


def prepare(kit: Kit, **model: Any) -> str:
    """Put a prepared run of 20 records into the bucket and return its URI."""
    run = begin_run(open_run(parse_config(config_values(kit, **model)), SystemClock()))
    lines: dict[str, list[dict[str, Any]]] = {}
    for key in (f"T-{n}" for n in range(20)):
        identifier = record_id([key])
        shard_id = layout.shard_id(layout.bucket_number(bucket_of(identifier, 2), 2), 0)
        body = ask(f"Question of {key}")
        if model.get("invocation") == "converse":
            body = {"messages": [{"role": "user", "content": [{"text": f"Question of {key}"}]}]}
        lines.setdefault(shard_id, []).append({"recordId": identifier, "modelInput": body})
    shards = []
    for shard_id, records in sorted(lines.items()):
        text = "".join(json.dumps(r, separators=(",", ":")) + "\n" for r in records)
        run.storage.write(layout.shard_key(shard_id, "p"), text.encode())
        digest = hashlib.sha256(text.encode()).hexdigest()
        shards.append(Shard(shard_id, len(records), len(text), digest, 0, "p"))
    manifest = RunManifest(run.run_id, 20, "a INT", tuple(shards), (), "p")
    run.storage.write(layout.MANIFEST_FILE, manifest_json(manifest))
    return run.config.run_uri


@pytest.mark.parametrize("model_id", TEXT_MODELS)
def test_the_streamed_text_is_that_of_the_whole_answer(local: Kit, model_id: str) -> None:
    """For every family. Tokens and times are on stderr only."""
    question = ("--model", model_id, "--max-tokens", "60", "Which words come back?")
    streamed = call(*question)
    whole = json.loads(call(*question, "--json").stdout)
    text = streamed.stdout.removesuffix("\n")
    assert len(text) > 20
    assert json.dumps(text)[1:-1].strip() in json.dumps(whole)
    assert "reasoning>" not in text
    assert TOOK.fullmatch(streamed.stderr)


def test_converse_is_the_same_for_every_model(local: Kit) -> None:
    """It calls ConverseStream, or Converse for --json. The family need not be known."""
    before = local.local.requests()
    for model_id in (CLAUDE, "ai21.j2-mid-v1"):
        streamed = call("--converse", "--model", model_id, "Say hello")
        whole = json.loads(call("--converse", "--model", model_id, "Say hello", "--json").stdout)
        assert whole["output"]["message"]["content"][0]["text"] == streamed.stdout[:-1]
    after = local.local.requests()
    for operation in ("ConverseStream", "Converse"):
        assert after[operation] == before.get(operation, 0) + 2


def test_options_of_a_prompt_are_in_the_body(local: Kit) -> None:
    """A prompt from stdin keeps its braces and loses its last newline."""
    options = ("--max-tokens", "3", "--temperature", "0.2", "--system", "Be brief")
    body = {
        **ask([{"type": "text", "text": "{{ not }} a\ntemplate é"}], max_tokens=3),
        "temperature": 0.2,
        "system": "Be brief",
    }
    reply = local.runtime.invoke_model(modelId=CLAUDE, body=json.dumps(body))
    answer = json.loads(reply["body"].read())
    result = call("--model", CLAUDE, *options, "-", stdin="{{ not }} a\ntemplate é\n")
    assert result.stdout == answer["content"][0]["text"] + "\n"
    assert "max_tokens" in result.stderr
    with_json = call("--model", CLAUDE, *options, "-", "--json", stdin="{{ not }} a\ntemplate é\n")
    assert json.loads(with_json.stdout) == answer


def test_reasoning_is_shown_on_request(local: Kit) -> None:
    """It goes to stderr, so that stdout holds only the answer."""
    question = ("--model", "openai.gpt-oss-20b-1:0", "Say hello")
    silent, shown = call(*question), call(*question, "--reasoning")
    assert silent.stdout == shown.stdout
    assert "The question is clear" not in silent.output
    assert shown.stderr.startswith("The question is clear, answer it.\ntokens: ")


VECTORS = {
    "amazon.titan-embed-text-v2:0": r"1,024 numbers \(float\), norm 1\.0000: .*, …",
    "amazon.titan-embed-image-v1": r"1,024 numbers \(float\), norm 1\.0000: .*, …",
    "amazon.nova-2-multimodal-embeddings-v1:0": r"3,072 numbers \(float\), norm 1\.0000: .*, …",
    "cohere.embed-english-v3": r"1,024 numbers \(float\), norm 1\.0000: .*, …",
}


@pytest.mark.parametrize("model_id", VECTORS)
def test_an_embedding_is_a_line_with_its_length_and_norm(local: Kit, model_id: str) -> None:
    """With its first numbers. With --json it is as the model sent it."""
    embedded = call("--model", model_id, "Hello")
    assert re.fullmatch(rf"embedding: {VECTORS[model_id]}\n", embedded.stdout)
    assert re.fullmatch(r"tokens: 1 in; \$0\.\d+; \d\.\d s\n", embedded.stderr)
    whole = json.loads(call("--model", model_id, "Hello", "--json").stdout)
    assert "…" not in json.dumps(whole, ensure_ascii=False)


def test_an_embedding_of_several_types_has_a_line_for_each(local: Kit) -> None:
    types = ("--set", "embedding_types=[float, int8, ubinary]")
    lines = call("--model", "cohere.embed-v4:0", "Hello", *types).stdout.splitlines()
    assert [line.split(", norm")[0].split(": ")[1] for line in lines] == [
        "1,536 numbers (float)",
        "1,536 numbers (int8)",
        "1,536 bits (ubinary)",
    ]


PICTURES = {
    "amazon.nova-canvas-v1:0": "amazon.nova-canvas-v1-0-seed-7",
    "amazon.titan-image-generator-v2:0": "amazon.titan-image-generator-v2-0-seed-7",
    "stability.sd3-5-large-v1:0": "stability.sd3-5-large-v1-0-seed-7",
    "stability.stable-image-core-v1:1": "stability.stable-image-core-v1-1-seed-7",
    "stability.stable-diffusion-xl-v1": "stability.stable-diffusion-xl-v1-seed-7",
}


@pytest.mark.parametrize("model_id", PICTURES)
def test_pictures_become_files_that_overwrite_nothing(
    local: Kit, tmp_path: Path, model_id: str
) -> None:
    """Of every family of pictures, with size and seed. With --json they are written, too."""
    folder = tmp_path / "new" / "folder"
    drawing = ("--model", model_id, "A cat", "--set", "seed=7", "--out", str(folder))
    drawn = call(*drawing)
    first = folder / f"{PICTURES[model_id]}-1.png"
    size = first.stat().st_size
    assert drawn.stdout == f"{first}: 64 x 64 png, {size:,} bytes, seed 7\n"
    assert first.read_bytes().startswith(b"\x89PNG")
    again = call(*drawing, "--json")
    assert json.loads(again.stdout)
    assert again.stderr.startswith(f"{folder / PICTURES[model_id]}-2.png: 64 x 64 png")
    assert sorted(path.name for path in folder.iterdir()) == [
        f"{PICTURES[model_id]}-{number}.png" for number in (1, 2)
    ]


def test_a_picture_without_a_place_is_not_paid_for(local: Kit, tmp_path: Path) -> None:
    """The message says how to get it. A folder that cannot be made is found before, too."""
    before = local.local.requests().get("InvokeModel", 0)
    drawing = ("--model", "amazon.nova-canvas-v1:0", "A cat")
    assert "give --out DIR to write it into a folder" in call(*drawing, code=3).stderr
    file = tmp_path / "file"
    file.write_text("mine")
    assert "Nothing was asked" in call(*drawing, "--out", str(file / "below"), code=3).stderr
    text = ("--model", "amazon.nova-lite-v1:0", "A cat", "--out", str(tmp_path))
    assert "make no pictures" in call(*text, code=3).stderr
    assert local.local.requests().get("InvokeModel", 0) == before
    whole = call(*drawing, "--json")
    assert json.loads(whole.stdout)["images"]
    assert "64 x 64 png" in whole.stderr


def test_a_ratio_is_a_ratio(local: Kit, tmp_path: Path) -> None:
    """To YAML, 16:9 is a number."""
    ratio = ("--set", "aspect_ratio=16:9", "--out", str(tmp_path))
    drawn = call("--model", "stability.sd3-5-large-v1:0", "A cat", *ratio)
    assert ": 64 x 36 png, " in drawn.stdout


def test_a_model_of_no_known_family_is_asked_by_converse_and_says_so(local: Kit) -> None:
    before = local.local.requests().get("ConverseStream", 0)
    result = call("--model", "us.xai.grok-4.7", "Say hello")
    assert "Say hello" in result.stdout
    note = "no family is known for us.xai.grok-4.7, so it is asked by Converse\n"
    assert result.stderr.startswith(note)
    assert local.local.requests()["ConverseStream"] == before + 1
    assert note not in call("--model", "us.xai.grok-4.7", "Say hello", "--quiet").stderr


def test_the_prices_of_a_config_count(local: Kit, tmp_path: Path) -> None:
    """A single call costs twice the price of batch jobs. A throughput is paid by the hour."""
    values = config_values(local)
    values["prices"] = {"batch": {"input": 0.05, "output": 0}}
    path = tmp_path / "tickets.yaml"
    path.write_text(json.dumps(values))
    result = call("--config", str(path), "--row", '{"body": "Hello"}')
    tokens = re.match(r"tokens: (\d+) in", result.stderr)
    assert tokens is not None
    assert f"; ${int(tokens[1]) / 10_000:.4f}; " in result.stderr
    arn = provision(local, CLAUDE_MODEL)
    local.local.advance_clock(601)
    assert "; paid by the hour; " in call("--model", arn, "Hello").stderr


def test_a_refused_stream_falls_back_to_invoke_model(local: Kit, tmp_path: Path) -> None:
    """An answer that the config's family cannot read is printed as JSON."""
    values = config_values(local, id="ai21.j2-mid-v1", family="cohere_command")
    values["request"] = {"body": {"prompt": "{{ body }}", "maxTokens": 9}}
    path = tmp_path / "jurassic.yaml"
    path.write_text(json.dumps(values))
    before = local.local.requests()
    result = call("--config", str(path), "--row", '{"body": "Hello"}')
    assert json.loads(result.stdout)["completions"][0]["data"]["text"]
    after = local.local.requests()
    for operation in ("InvokeModelWithResponseStream", "InvokeModel"):
        assert after[operation] == before.get(operation, 0) + 1


def test_a_provisioned_arn_gets_the_format_of_its_model(
    local: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused while it is Creating. The ARN names the Region, but not the family."""
    arn = provision(local, "amazon.titan-text-express-v1")
    assert "is Creating and does not serve" in call("--model", arn, "Hello", code=1).stderr
    local.local.advance_clock(601)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    result = call("--model", arn, "Hello")
    assert "FINISH" in result.stderr
    assert local.local.usage()["invocations"][arn]["calls"] == 1


def test_a_record_of_a_run_is_sent_unchanged(local: Kit) -> None:
    """The first record, or one by key or id; to the run's model or another of its family."""
    uri = prepare(local)
    key = "T-17"
    reply = local.runtime.invoke_model(modelId=CLAUDE, body=json.dumps(ask(f"Question of {key}")))
    answer = json.loads(reply["body"].read())
    for selection in (("--key", key), ("--record", record_id([key]))):
        result = call("--run", uri, *selection)
        assert result.stdout == answer["content"][0]["text"] + "\n"
        assert result.stderr.startswith(f"record {record_id([key])}; tokens: ")
        assert json.loads(call("--run", uri, *selection, "--json").stdout) == answer
    arn = provision(local, CLAUDE_MODEL)
    local.local.advance_clock(601)
    assert call("--run", uri, "--key", key, "--model", arn).stdout == result.stdout
    assert local.local.usage()["invocations"][arn]["calls"] == 1
    assert call("--run", uri).stderr.startswith("record ")
    other = call("--run", uri, "--model", "amazon.nova-lite-v1:0", code=3)
    assert "is of the family nova; the records of this run are anthropic bodies" in other.stderr


def test_a_record_of_a_converse_run_is_sent_by_converse(local: Kit) -> None:
    """To any model: a Converse body fits them all."""
    uri = prepare(local, invocation="converse")
    before = local.local.requests().get("ConverseStream", 0)
    call("--run", uri, "--key", "T-1")
    call("--run", uri, "--key", "T-1", "--model", "amazon.nova-lite-v1:0")
    assert local.local.requests()["ConverseStream"] == before + 2


@pytest.mark.parametrize(
    ("options", "message", "code"),
    [
        (["--key", "T-99"], "has no record", 1),
        (["--record", "T-1"], "is not a record id", 1),
        (["--key", "T-1", "--key", "x"], "give one for each of ticket_id", 3),
    ],
)
def test_a_missing_record_is_reported(
    local: Kit, options: list[str], message: str, code: int
) -> None:
    """Without a traceback."""
    assert message in call("--run", prepare(local), *options, code=code).stderr
    assert "holds no run" in call("--run", f"s3://{local.bucket}/no", code=1).stderr


def test_a_row_is_sent_as_the_config_says(local: Kit, tmp_path: Path) -> None:
    """The columns that the template reads must be there and not be null."""
    path = tmp_path / "tickets.yaml"
    path.write_text(json.dumps(config_values(local)))
    result = call("--config", str(path), "--row", '{"body": "My printer {{ burns }}"}', "--json")
    body = ask([{"type": "text", "text": "Classify: My printer {{ burns }}"}])
    reply = local.runtime.invoke_model(modelId=CLAUDE, body=json.dumps(body))
    assert json.loads(result.stdout) == json.loads(reply["body"].read())
    for row, message in (
        ('{"boddy": "x"}', "did you mean boddy"),
        ('{"body": null}', "--row: body: is null"),
        ("[1]", "--row: must be a JSON object"),
    ):
        assert message in call("--config", str(path), "--row", row, code=3).stderr
    other = ("--config", str(path), "--row", '{"body": "x"}', "--model", "amazon.nova-lite-v1:0")
    assert f"the requests of {path} are anthropic bodies" in call(*other, code=3).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["Hello"],
        ["--model", CLAUDE],
        ["--model", CLAUDE, " "],
        ["--model", CLAUDE, "--record", "x", "Hello"],
        ["--model", CLAUDE, "--row", "{}", "Hello"],
        ["--run", "s3://b/r", "Hello"],
        ["--run", "s3://b/r", "--system", "x"],
        ["--run", "s3://b/r", "--record", "x", "--key", "y"],
        ["--run", "s3://b/r", "--config", "c", "--row", "{}"],
        ["--config", "c"],
        ["--chat"],
        ["--chat", "--model", CLAUDE, "-"],
        ["--chat", "--model", CLAUDE, "--json"],
        ["--chat", "--model", CLAUDE, "--out", "pictures"],
        ["--chat", "--run", "s3://b/r"],
        ["--model", CLAUDE, "Hello", "--save", "chat.jsonl"],
        ["--run", "s3://b/r", "--temperature", "0"],
        ["--run", "s3://b/r", "--set", "seed=1"],
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments: list[str]) -> None:
    """Before any call, because they contradict each other or are incomplete."""
    assert "error: " in call(*arguments, code=2).stderr.lower()


def test_a_prompt_that_is_not_utf8_is_refused() -> None:
    """JSON cannot hold such bytes."""
    assert "not UTF-8" in call("--model", CLAUDE, "-", stdin=b"\xff", code=2).stderr


def test_a_throttled_stream_is_retried_until_it_begins(local: Kit) -> None:
    """Each wait is printed on stderr."""
    count = local.local.requests().get("InvokeModelWithResponseStream", 0)
    busy = {"InvokeModelWithResponseStream": {"throttle_first": count + 1}}
    local.local.set_faults({"operations": busy})
    result = call("--model", CLAUDE, "Hello")
    assert result.stderr.startswith("no answer yet; asking again in ")
    assert result.stdout


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ({"stream_error_rate": 1.0}, "The model failed while it streamed its answer."),
        (
            {"stream_error_rate": 1.0, "stream_error": "ThrottlingException"},
            "The model failed while it streamed its answer.",
        ),
        ({"stream_drop_rate": 1.0}, "the stream ended|the connection broke"),
    ],
)
@pytest.mark.parametrize("options", [[], ["--converse"]])
def test_a_broken_stream_is_reported_as_cut_off(
    local: Kit, faults: dict[str, Any], message: str, options: list[str]
) -> None:
    """The received text is on stdout; one call, exit code 1, and no prompt is shown."""
    operation = "ConverseStream" if options else "InvokeModelWithResponseStream"
    before = local.local.requests().get(operation, 0)
    local.local.set_faults({"operations": {operation: faults}})
    result = call("--model", CLAUDE, "Zebrafinch or not", *options, code=1)
    assert len(result.stdout) > 10
    assert re.search(f"^error: the answer is cut off: ({message})", result.stderr.replace("\n", ""))
    assert "Zebrafinch" not in result.stderr
    assert local.local.requests()[operation] == before + 1


def test_a_refusal_says_what_to_check(local: Kit) -> None:
    """The message has the model, the service's words, and what to check."""
    result = call("--model", "nobody.model-v1:0", "--family", "anthropic", "Hello", code=4)
    assert "nobody.model-v1:0: The provided model identifier is invalid. Check" in result.stderr
    unknown = call("--model", "nobody.model-v1:0", "Hello", code=4)
    assert "nobody.model-v1:0: The provided model identifier is invalid. Check" in unknown.stderr
    no_chat = call("--model", "amazon.nova-reel-v1:0", "Hello", code=3)
    assert "name it with --family, or use --converse" in no_chat.stderr


def test_control_c_ends_it_quietly(local: Kit) -> None:
    """No output, and the exit code 130 that shells expect."""
    operation = "InvokeModelWithResponseStream"
    before = local.local.requests().get(operation, 0)
    slow = {operation: {"latency": {"median_ms": 9000}}}
    local.local.set_faults({"operations": slow})
    program = "from bedrock_spark.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "invoke", "--model", CLAUDE, "Hello"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while local.local.requests().get(operation, 0) == before:
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == (b"", b"")
    assert process.returncode == 130


def test_the_output_that_the_docs_show_is_real(
    local: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a picture and of an embedding, line by line."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "invoke.md").read_text("utf-8")
    match = re.search(r"## Pictures.*?```bash\n(.*?)```\n\n```text\n(.*?)```", page, re.DOTALL)
    assert match is not None
    lines = [shlex.split(line) for line in match[1].splitlines()]
    assert [line[:2] for line in lines] == [["bedrock-spark", "invoke"]] * 2
    assert "".join(call(*line[2:]).stdout for line in lines) == match[2]


def test_a_chat_without_a_question_says_so(local: Kit) -> None:
    assert call("--model", CLAUDE, "--chat").stderr == "nothing was asked\n"
