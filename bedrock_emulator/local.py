"""An emulator as a child process, for demos and tests."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Any

from bedrock_emulator.command import READY
from bedrock_emulator.settings import DEFAULT_REGION

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0


class LocalBedrock:
    """Starts an emulator on a free port, and stops it when the `with` block ends.

    It is a separate process, because the emulator needs the CPU while jobs run. It ends by itself
    when this process dies, because that closes its standard input. `faults` is a fault script: a
    dict, or the path of a file. `options` are further options of `bedrock-spark emulator`. With
    `tls` it serves HTTPS.
    """

    def __init__(
        self,
        faults: dict[str, Any] | Path | str | None = None,
        speed: float = 1000.0,
        seed: int = 7,
        data: Path | str | None = None,
        port: int = 0,
        *options: str,
        tls: bool = False,
    ) -> None:
        self._faults = faults
        self._options = ["--port", str(port), "--speed", str(speed), "--seed", str(seed)]
        if data is not None:
            self._options += ["--data", str(data)]
        self._options += options
        self._tls = tls
        self._process: subprocess.Popen[str] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._log: IO[str] | None = None
        self.endpoint_url = ""

    def __enter__(self) -> LocalBedrock:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def log(self) -> str:
        """The standard error of the emulator, "" if it is not running."""
        if self._folder is None:
            return ""
        return (Path(self._folder.name) / "log").read_text("utf-8")

    @property
    def pid(self) -> int | None:
        """The process id of the emulator, None if it is not running."""
        return None if self._process is None else self._process.pid

    @property
    def certificate(self) -> Path | None:
        """The file with the certificate that clients must trust; None without TLS."""
        if not self._tls or self._folder is None:
            return None
        return Path(self._folder.name) / "certificate.pem"

    def start(self) -> None:
        """Start the process and wait until it answers.

        Raises RuntimeError, with the log, if it does not start.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="local-bedrock-")
        self._log = (Path(self._folder.name) / "log").open("w", encoding="utf-8")
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "bedrock_emulator",
                "--exit-with-parent",
                *self._options,
                *self._fault_options(Path(self._folder.name)),
                *(["--tls", str(self.certificate)] if self._tls else []),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        line = self._first_line(self._process)
        if not line.startswith(READY):
            log = self.log
            self.stop()
            raise RuntimeError(f"the emulator did not start: {line!r}\n{log}")
        self.endpoint_url = line.removeprefix(READY).strip()
        self._call("GET", "health")

    def stop(self) -> None:
        """Stop the process and wait until it has ended; its state in `data` is complete then."""
        process, self._process = self._process, None
        if process is not None:
            if process.stdin is not None:
                process.stdin.close()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if self._log is not None:
            self._log.close()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def environment(self) -> dict[str, str]:
        """Return the environment variables that point AWS SDKs and the AWS CLI to this emulator."""
        trusted = {} if self.certificate is None else {"AWS_CA_BUNDLE": str(self.certificate)}
        return {
            **trusted,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": DEFAULT_REGION,
            "AWS_REGION": DEFAULT_REGION,
            # Without these an SDK may search other places for credentials, which takes seconds.
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def client(self, service: str, **options: Any) -> Any:
        """Return a boto3 client for this emulator, without touching the environment."""
        import boto3

        if self.certificate is not None:
            options.setdefault("verify", str(self.certificate))
        return boto3.client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=options.pop("region_name", DEFAULT_REGION),
            aws_access_key_id="local",
            aws_secret_access_key="local",
            **options,
        )

    def usage(self) -> dict[str, Any]:
        """Return what AWS would bill; docs/emulator.md explains the members."""
        return self._call("GET", "usage")

    def requests(self) -> dict[str, int]:
        """Return the number of calls by operation."""
        counts: dict[str, int] = self._call("GET", "requests")["requests"]
        return counts

    def errors(self) -> dict[str, int]:
        """Return the number of error replies by operation and code."""
        counts: dict[str, int] = self._call("GET", "requests")["errors"]
        return counts

    def held(self) -> dict[str, int]:
        """Return how many calls the fault script's `holds` hold back now, by operation."""
        counts: dict[str, int] = self._call("GET", "requests")["held"]
        return counts

    def calls(self, operation: str | None = None) -> list[dict[str, Any]]:
        """Return the newest calls of Bedrock's operations, or of one, the oldest first.

        Each has `operation`, `parameters`, `body`, `error`, `region`, `time` and `number`.
        """
        calls: list[dict[str, Any]] = self._call("GET", "calls")["calls"]
        return [c for c in calls if operation in (None, c["operation"])]

    def reset(self) -> None:
        """Forget jobs, models, bills, calls and buckets; set the scripts of the start again."""
        self._call("POST", "reset")

    def set_faults(self, faults: dict[str, Any]) -> None:
        """Replace the fault script."""
        self._call("PUT", "faults", faults)

    def set_answers(self, *rules: dict[str, Any]) -> None:
        """Replace the answer script; without rules, by none."""
        self._call("PUT", "answers", {"answers": list(rules)})

    def answers(self) -> list[dict[str, Any]]:
        """Return the rules of the answer script, each with `used`: how often it has answered."""
        rules: list[dict[str, Any]] = self._call("GET", "answers")["answers"]
        return rules

    def advance_clock(self, seconds: float) -> None:
        """Advance the emulated time and wait until all work due by then is done.

        Raises TimeoutError if that takes more than five real minutes.
        """
        if not self._call("POST", "clock/advance", {"seconds": seconds})["settled"]:
            raise TimeoutError(f"the work due within {seconds} emulated seconds is not finished")

    def now(self) -> float:
        """Return the emulated time in seconds since the epoch."""
        return float(self._call("GET", "clock")["now"])

    def _fault_options(self, folder: Path) -> list[str]:
        if self._faults is None:
            return []
        if isinstance(self._faults, dict):
            path = folder / "faults.json"
            path.write_text(json.dumps(self._faults), "utf-8")
            return ["--faults", str(path)]
        return ["--faults", str(self._faults)]

    def _first_line(self, process: subprocess.Popen[str]) -> str:
        """Return the first line of output; "" if the process ends or prints none in time."""
        lines: list[str] = []

        def read() -> None:
            if process.stdout is not None:
                lines.append(process.stdout.readline())

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        reader.join(_START_SECONDS)
        return lines[0] if lines else ""

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        url = f"{self.endpoint_url}/_emulator/{path}"
        request = urllib.request.Request(url, data=data, method=method)
        # Ignore proxies of the environment: the emulator runs on this machine.
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if self.certificate is not None:
            context = ssl.create_default_context(cafile=str(self.certificate))
            handlers.append(urllib.request.HTTPSHandler(context=context))
        opener = urllib.request.build_opener(*handlers)
        try:
            with opener.open(request, timeout=600) as reply:
                answer: dict[str, Any] = json.loads(reply.read())
        except urllib.error.HTTPError as exc:
            raise ValueError(f"{method} {path}: {exc.read().decode()}") from exc
        return answer
