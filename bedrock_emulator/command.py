"""`bedrock-spark emulator`: serve a local Bedrock until it is interrupted."""

from __future__ import annotations

import ipaddress
import logging
import os
import resource
import shlex
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click
import yaml
from pydantic import ValidationError

from bedrock_emulator.answers.script import Answers, read_answers
from bedrock_emulator.faults import Faults, read_faults
from bedrock_emulator.settings import DEFAULT_REGION, Settings

Script = TypeVar("Script")

_MAX_OPEN_FILES = 8192
READY = "bedrock emulator ready at "


@click.command("emulator", epilog="Example: bedrock-spark emulator --speed 300")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=4599, show_default=True, help="Port; 0 picks a free one.")
@click.option(
    "--speed",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Emulated seconds per real second; at 0 the clock moves only when advanced by hand.",
)
@click.option("--faults", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Fault script, YAML or JSON.")  # fmt: skip
@click.option("--answers", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Answer script, YAML or JSON: your own answers for some requests.")  # fmt: skip
@click.option("--data", type=click.Path(file_okay=False, path_type=Path),
              help="Folder for state that survives a restart.")  # fmt: skip
@click.option("--seed", default=7, show_default=True, help="Seed of all random choices.")
@click.option("--region", default=DEFAULT_REGION, show_default=True,
              help="Region of requests that carry no AWS signature.")  # fmt: skip
@click.option("--backend", type=click.Choice(["deterministic", "openai"]),
              default="deterministic", show_default=True,
              help="What generates the answers.")  # fmt: skip
@click.option("--backend-url", help="Base URL of the OpenAI-compatible server.")
@click.option("--backend-model", help="Model name to send to that server; default: Bedrock's id.")
@click.option("--s3-endpoint", help="Use the S3 at this URL instead of serving one.")
@click.option("--event-queue", help="SQS queue, created here, that receives job state changes.")
@click.option("--tls", type=click.Path(dir_okay=False, path_type=Path),
              help="Serve HTTPS; write the new, self-signed certificate to this file.")  # fmt: skip
@click.option("--verbose", is_flag=True, help="Log every change of a job's status.")
@click.option("--exit-with-parent", is_flag=True, hidden=True)
def emulator(
    host: str,
    port: int,
    speed: float,
    faults: Path | None,
    answers: Path | None,
    data: Path | None,
    seed: int,
    region: str,
    backend: str,
    backend_url: str | None,
    backend_model: str | None,
    s3_endpoint: str | None,
    event_queue: str | None,
    tls: Path | None,
    verbose: bool,
    exit_with_parent: bool,
) -> None:
    """Serve Amazon Bedrock (batch, provisioned throughput, runtime) and S3 on this machine."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(name)s %(levelname)s %(message)s",
    )
    if backend == "openai" and not backend_url:
        raise click.UsageError("--backend openai needs --backend-url, for example "
                               "http://127.0.0.1:11434/v1")  # fmt: skip
    settings = Settings(
        host=host,
        port=port,
        speed=speed,
        seed=seed,
        region=region,
        data=data,
        backend=backend,
        backend_url=backend_url,
        backend_model=backend_model,
        s3_endpoint=s3_endpoint,
        event_queue=event_queue,
        tls=tls,
    )
    _serve(
        settings,
        _read("--faults", read_faults, faults),
        _read("--answers", read_answers, answers),
        exit_with_parent,
    )


def _read(option: str, read: Callable[[Path | None], Script], path: Path | None) -> Script:
    try:
        return read(path)
    except (ValidationError, yaml.YAMLError) as exc:
        raise click.BadParameter(f"{path}: {exc}", param_hint=option) from exc


def _serve(settings: Settings, faults: Faults, answers: Answers, exit_with_parent: bool) -> None:
    # The import of moto takes half a second, so it is done only to serve.
    from bedrock_emulator.http.server import Emulator

    _allow_open_files()
    server = Emulator(settings, faults, answers)

    def stop(*_: object) -> None:
        # `close` waits for the serving loop, which runs in this thread: call it from another one.
        threading.Thread(target=server.close, name="close").start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if exit_with_parent:
        threading.Thread(target=_wait_for_end_of_input, args=(stop,), daemon=True).start()
    if not is_loopback(settings.host):
        click.echo(f"listening on {settings.host}: no credential is checked", err=True)
    click.echo(f"{READY}{server.endpoint_url}")
    click.echo(f"export AWS_ENDPOINT_URL={server.endpoint_url}")
    if settings.tls is not None:
        click.echo(f"export AWS_CA_BUNDLE={shlex.quote(str(settings.tls.absolute()))}")
    sys.stdout.flush()
    server.serve()
    server.close()


def _allow_open_files() -> None:
    """Raise this process's limit of open files: moto keeps a file open per large object."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = _MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(_MAX_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def is_loopback(host: str) -> bool:
    """Return whether a host address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _wait_for_end_of_input(stop: object) -> None:
    """Call `stop` when standard input is closed: the parent died or closed it on purpose."""
    while os.read(sys.stdin.fileno(), 1024):
        continue
    if callable(stop):
        stop()
