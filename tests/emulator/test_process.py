"""The emulator as a process: its address, its command, its end, its log, and its imports."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from bedrock_emulator import LocalBedrock, local
from bedrock_emulator.command import emulator
from bedrock_emulator.wire.service_model import routes

from .kit import CLAUDE, Kit, ask
from .raw_http import AUTHORIZATION, RawClient

S3_AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=local/20240501/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=00"
)


@pytest.fixture(autouse=True)
def real_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start emulators as a user's program does."""
    monkeypatch.setattr(local, "subprocess", subprocess)


def test_it_listens_on_loopback_only(kit: Kit) -> None:
    """It does not answer at another address of this machine."""
    assert urlsplit(kit.local.endpoint_url).hostname == "127.0.0.1"
    port = urlsplit(kit.local.endpoint_url).port
    with socket.socket() as probe:
        probe.settimeout(2)
        # All addresses of 127.0.0.0/8 are this machine, but the emulator listens at one of them.
        assert probe.connect_ex(("127.0.0.2", port or 0)) != 0


def test_a_bucket_can_have_the_name_of_a_bedrock_path(kit: Kit) -> None:
    """The service that a request is signed for decides, before its path."""
    kit.s3.create_bucket(Bucket="model")
    kit.s3.put_object(Bucket="model", Key=f"{CLAUDE}/invoke", Body=b"mine")
    content = kit.s3.get_object(Bucket="model", Key=f"{CLAUDE}/invoke")["Body"].read()
    assert content == b"mine"
    raw = RawClient(kit.local.endpoint_url)
    path = f"/model/{CLAUDE}/invoke"
    assert raw.send("POST", path, json.dumps(ask("hi")).encode()).status == 200
    bearer = "Bearer some-api-key"
    body = json.dumps(ask("hi")).encode()
    assert raw.send("POST", path, body, authorization=bearer).status == 200
    url = kit.s3.generate_presigned_url(
        "get_object", Params={"Bucket": "model", "Key": f"{CLAUDE}/invoke"}
    )
    parts = urlsplit(url)
    reply = raw.send("GET", f"{parts.path}?{parts.query}", authorization=None)
    assert reply.body == b"mine"


def test_unsupported_operations_are_refused_by_name(kit: Kit) -> None:
    """The reply has a status that no SDK retries, and is not a page of HTML."""
    with pytest.raises(ClientError) as error:
        kit.bedrock.list_guardrails()
    assert error.value.response["Error"]["Code"] == "UnknownOperationException"
    assert "ListGuardrails" in error.value.response["Error"]["Message"]
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


@pytest.mark.parametrize("authorization", [None, "Bearer some-api-key", AUTHORIZATION])
@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/guardrails", "ListGuardrails"),
        ("POST", f"/model/{CLAUDE}/async-invoke-of-nobody", None),
        ("POST", "/projects", "CreateProject"),
    ],
)
def test_other_operations_are_refused_however_they_are_signed(
    kit: Kit, authorization: str | None, method: str, path: str, name: str | None
) -> None:
    """An operation that botocore knows is named. An unsigned, unknown path belongs to S3."""
    raw = RawClient(kit.local.endpoint_url)
    reply = raw.send(method, path, b"{}", authorization=authorization)
    if name is None and authorization is None:
        assert (reply.status, b"<Code>NotImplemented</Code>" in reply.body) == (501, True)
        return
    assert (reply.status, reply.error) == (501, "UnknownOperationException")
    assert (name or path) in reply.json()["message"]


def test_operations_that_moto_does_not_have_are_refused(kit: Kit) -> None:
    """SDKs do not repeat them."""
    with pytest.raises(ClientError) as error:
        kit.local.client("service-quotas").list_requested_service_quota_change_history()
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_bodies_are_bounded(kit: Kit) -> None:
    """A body too long for a control operation is refused."""
    raw = RawClient(kit.local.endpoint_url)
    reply = raw.send("POST", "/model-invocation-job", b"x" * 3_000_000)
    assert (reply.status, reply.error) == (400, "ValidationException")
    assert b"longer than the maximum" in reply.body
    assert raw.send("PUT", "/_emulator/faults", b"x" * 3_000_000).status == 400


def test_a_body_in_chunks_is_read(kit: Kit) -> None:
    """Some clients send no Content-Length."""
    import http.client

    parts = urlsplit(kit.local.endpoint_url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port or 0, timeout=30)
    body = json.dumps(ask("hi")).encode()
    connection.request("POST", f"/model/{CLAUDE}/invoke", iter([body[:10], body[10:]]))
    reply = connection.getresponse()
    assert reply.status == 200
    assert json.loads(reply.read())["type"] == "message"
    connection.close()


def test_no_prompt_and_no_answer_is_logged() -> None:
    """With `--verbose`, too, only changes of a job's status are logged."""
    secret = "Zebrafinch"
    with LocalBedrock({"quotas": {"min_records": 1}}, 0, 7, None, 0, "--verbose") as local:
        kit = Kit.open(local)
        body = ask(f"Tell me about {secret}")
        answer = kit.runtime.invoke_model(modelId=CLAUDE, body=json.dumps(body))["body"].read()
        with pytest.raises(ClientError):
            kit.runtime.invoke_model(modelId=CLAUDE, body=json.dumps({**body, secret: 1}))
        arn = kit.submit([{"recordId": "a", "modelInput": body}, {"modelInput": {secret: secret}}])
        kit.settle(arn)
        log = local.log
    assert "Completed" in log
    assert secret not in log
    assert json.loads(answer)["content"][0]["text"][:20] not in log


def test_the_process_ends_with_the_block_and_with_its_parent() -> None:
    """It ends by itself when its parent is killed."""
    with LocalBedrock() as local:
        url = local.endpoint_url
        RawClient(url).send("GET", "/_emulator/health")
    with pytest.raises(ConnectionRefusedError):
        RawClient(url).send("GET", "/_emulator/health")
    code = (
        "import sys, time\n"
        "from bedrock_emulator import LocalBedrock\n"
        "local = LocalBedrock().__enter__()\n"
        "print(local.endpoint_url, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    url = parent.stdout.readline().strip()
    assert RawClient(url).send("GET", "/_emulator/health").status == 200
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            RawClient(url).send("GET", "/_emulator/health")
        except OSError:
            return
    raise AssertionError("the emulator outlived its parent")


def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    """The error message contains the log of the child process."""
    path = tmp_path / "faults.yaml"
    path.write_text("jobs: [{endd: Failed}]")
    with pytest.raises(RuntimeError, match="endd"):
        LocalBedrock(path).start()


def test_the_command_has_help() -> None:
    """It shows the options with their defaults; `--backend openai` without a URL is refused."""
    shown = CliRunner().invoke(emulator, ["--help"])
    for option in ("--port", "--speed", "--faults", "--data", "--s3-endpoint", "--backend-url"):
        assert option in shown.output
    assert re.search(r"default:\s+127\.0\.0\.1", shown.output)
    refused = CliRunner().invoke(emulator, ["--backend", "openai"])
    assert refused.exit_code == 2
    assert "--backend-url" in refused.output


def test_the_command_prints_what_to_export() -> None:
    """It prints when it is ready, and a line to copy to a shell. After SIGTERM it exits with 0."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bedrock_emulator", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(2)]
    url = lines[0].removeprefix("bedrock emulator ready at ").strip()
    assert lines[1] == f"export AWS_ENDPOINT_URL={url}\n"
    assert RawClient(url).send("GET", "/_emulator/health").json() == {"status": "ok"}
    process.terminate()
    assert process.wait(20) == 0
    process.stdout.close()


def test_a_wrong_control_path_lists_the_endpoints(kit: Kit) -> None:
    """The status is 404. An advance with an invalid body gets 400."""
    raw = RawClient(kit.local.endpoint_url)
    reply: Any = raw.send("GET", "/_emulator/nothing")
    assert reply.status == 404
    assert "GET /_emulator/usage" in reply.json()["endpoints"]
    for body in (b"", b"[]", b'{"seconds": "a"}', b'{"seconds": -1}'):
        assert raw.send("POST", "/_emulator/clock/advance", body).status == 400


def test_requests_are_counted(kit: Kit) -> None:
    """Bedrock's requests are counted by operation, those of S3 by method."""
    before = kit.local.requests()
    kit.bedrock.list_foundation_models()
    kit.put("a.jsonl", b"{}\n")
    after = kit.local.requests()
    assert after["ListFoundationModels"] == before.get("ListFoundationModels", 0) + 1
    assert after["s3:PUT"] == before["s3:PUT"] + 1


def test_invalid_lengths_are_refused_or_ignored(kit: Kit) -> None:
    """A request without a valid Content-Length does not make the server read forever."""
    parts = urlsplit(kit.local.endpoint_url)
    for length in (b"-5", b"many"):
        with socket.create_connection((str(parts.hostname), parts.port or 0), timeout=20) as raw:
            raw.sendall(
                b"POST /model-invocation-job HTTP/1.1\r\nHost: x\r\nContent-Length: "
                + length
                + b"\r\n\r\n"
            )
            raw.shutdown(socket.SHUT_WR)
            assert b" 400 " in raw.recv(4096).split(b"\r\n")[0]
    chunked = RawClient(kit.local.endpoint_url).send(
        "PUT", f"/{kit.bucket}/key", iter([b"x"]), authorization=S3_AUTHORIZATION
    )
    assert chunked.status == 411


def test_operations_return_only_their_own_errors(kit: Kit) -> None:
    """The service model lists each error code that an operation returned in this test session."""
    listed = {
        route.name: {shape.name for shape in route.operation.error_shapes} for route in routes()
    }
    kit.bedrock.list_foundation_models()
    for error in kit.local.errors():
        operation, code = error.split(" ", 1)
        assert code in listed[operation] or code == "dropped connection", error


def test_it_imports_nothing_from_the_pipeline() -> None:
    """If both sides shared code, a mistake in it would be in both, and no test would see it."""
    folder = Path(inspect.getfile(LocalBedrock)).parent
    names = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0
                names.add(str(node.module))
            elif isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
    packages = {name.split(".")[0] for name in names}
    assert "bedrock_emulator" in packages
    assert "bedrock_spark" not in packages


def test_importing_it_does_not_import_moto() -> None:
    """moto is slow to import and is installed with an extra: only a server needs it."""
    code = "import sys, bedrock_emulator; print('moto' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"


def test_the_containerfile_copies_and_starts_what_there_is() -> None:
    """Its sources exist, hold what the build needs, and its command has valid options."""
    root = Path(__file__).parents[2]
    lines = (root / "bedrock_emulator" / "Containerfile").read_text("utf-8").splitlines()
    copied = [name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]]
    assert all((root / name).exists() for name in copied)
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    build = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*build["packages"], *build["force-include"], "pyproject.toml", "README.md", "LICENSE"}
    assert needed == set(copied)
    (entry,) = [line for line in lines if line.startswith("ENTRYPOINT ")]
    program, command, *options = json.loads(entry.removeprefix("ENTRYPOINT "))
    assert (program, command) == ("bedrock-spark", "emulator")
    context = emulator.make_context("emulator", [*options, "--speed", "1000"])
    assert (context.params["host"], str(context.params["data"])) == ("0.0.0.0", "/data")
