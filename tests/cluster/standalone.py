"""Spark's standalone cluster on this machine: a master and two workers, each on its own host.

https://spark.apache.org/docs/latest/spark-standalone.html. Every port is a free one, which the
process itself chooses and prints.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.hosts import Host
from tests.cluster.processes import SECONDS, Process, StartedCluster, id_inside, kill, wait_until
from tests.jvm import java_options
from tests.modules import ROOT

ADDRESSES = ("127.0.0.1", "127.0.0.2")
_MASTER = "org.apache.spark.deploy.master.Master"
_WORKER = "org.apache.spark.deploy.worker.Worker"
EXECUTOR = "CoarseGrainedExecutorBackend"
PYTHON_WORKER = r"pyspark[./]daemon"
_DAEMON_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dspark.master.rest.enabled=false"
# What every application gets: one core and little memory on each host.
SETTINGS = {
    "spark.executor.cores": "1",
    "spark.executor.memory": "700m",
    "spark.cores.max": "2",
    "spark.driver.memory": "700m",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.port": "0",
    "spark.sql.shuffle.partitions": "4",
    "spark.driver.extraJavaOptions": java_options(),
    "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}


@dataclass
class Worker:
    """A worker of the cluster and the host that it runs on."""

    host: Host
    process: Process | None = None

    def executors(self) -> list[int]:
        """Return the process ids of the executors' JVMs on this host."""
        return self._find(rf"java .*{EXECUTOR}")

    def python_workers(self) -> list[int]:
        """Return the process ids of the Python workers on this host."""
        return self._find(PYTHON_WORKER)

    def process_of(self, claim: Mapping[str, Any]) -> int | None:
        """Return the id of the Python worker that has a claim; None if it is not of this host."""
        for pid in self.python_workers():
            namespace = str(Path(f"/proc/{pid}/ns/pid").readlink())
            if id_inside(pid) == claim["pid"] and claim["place"].endswith(namespace):
                return pid
        return None

    def kill_executors(self) -> int:
        """SIGKILL the executors' JVMs; return how many there were."""
        pids = self.executors()
        for pid in pids:
            kill(pid)
        return len(pids)

    def _find(self, pattern: str) -> list[int]:
        return self.process.find(pattern) if self.process is not None else []


@dataclass
class StandaloneCluster(StartedCluster):
    """A cluster whose files are below `folder`. Use it in a `with` block, which starts it.

    spark_home: of the Spark of this environment
    archive: the environment of the executors, as for `--archives`. It is also unpacked in the
        folder `environment`
    """

    folder: Path
    spark_home: Path
    archive: Path
    workers: list[Worker] = field(default_factory=list)
    drivers: list[Process] = field(default_factory=list)
    url: str = ""
    web: str = ""

    def _start(self) -> None:
        environment = self.folder / "environment"
        environment.mkdir(parents=True)
        subprocess.run(["tar", "-xzf", self.archive, "-C", environment], check=True)
        folders = [self.folder / f"worker-{n}" for n in (1, 2)]
        variables = {"SPARK_DAEMON_MEMORY": "400m", "SPARK_DAEMON_JAVA_OPTS": _DAEMON_JAVA}
        for number, (folder, address) in enumerate(zip(folders, ADDRESSES, strict=True), 1):
            hidden = [*(f for f in folders if f != folder), self.folder / "driver"]
            hidden.append(self.folder / "elsewhere")
            host = Host(f"worker-{number}", address, folder, self.spark_home, hidden,
                        variables=variables)  # fmt: skip
            self.workers.append(Worker(host))
        for each in [*folders, self.folder / "driver", self.folder / "elsewhere"]:
            each.mkdir(parents=True)
        self._master = Host(
            *("master", ADDRESSES[0], self.folder / "master", self.spark_home),
            variables=variables,
        )
        master = self._master.run("master", self._daemon(self._master, _MASTER, *_free_ports()))
        self.drivers.append(master)
        self.url = master.wait_for(r"Starting Spark master at (spark://\S+)")[1]
        self.web = master.wait_for(r"MasterWebUI.* started at (http://\S+)")[1]
        for worker in self.workers:
            self.start_worker(worker)
        self.wait_for_workers()

    def start_worker(self, worker: Worker) -> None:
        """Start the process of a worker, for the first time or after it was killed."""
        host = worker.host
        options = ["--cores", "2", "--memory", "2g", "--work-dir", str(host.folder / "work")]
        command = self._daemon(host, _WORKER, *_free_ports(), *options, self.url)
        worker.process = host.run("worker", command)

    def wait_for_workers(self) -> None:
        """Wait until the master says that all workers are there."""
        wait_until(lambda: self.state()["aliveworkers"] == len(self.workers), "all workers")

    def state(self) -> dict[str, Any]:
        """Return what the master says of the cluster."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.web}/json/", timeout=SECONDS) as reply:
            state: dict[str, Any] = json.loads(reply.read())
        return state

    def driver_host(self, name: str = "driver") -> Host:
        """Return the host from which applications are submitted: `driver` or `elsewhere`."""
        others = [w.host.folder for w in self.workers]
        others += [self.folder / other for other in ("driver", "elsewhere") if other != name]
        return Host(name, ADDRESSES[0], self.folder / name, self.spark_home, others,
                    has_checkout=True)  # fmt: skip

    def submit(
        self,
        script: Path,
        *arguments: str,
        settings: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        host: Host | None = None,
        is_shipped: bool = False,
    ) -> Process:
        """Start spark-submit in client mode.

        settings: of Spark, over SETTINGS; variables: of the driver's environment
        host: the driver's, by default `driver`
        is_shipped: whether the environment comes by `--archives`; else the workers have it, which
            saves each executor the unpacking
        """
        words = [
            *(("--archives", f"{self.archive}#environment") if is_shipped else ()),
            *(str(script), *arguments),
        ]
        own = {
            "PYTHONPATH": str(ROOT),
            "PYSPARK_DRIVER_PYTHON": sys.executable,
            "PYSPARK_PYTHON": f"{'.' if is_shipped else self.folder}/environment/bin/python",
        }
        host = host or self.driver_host()
        return self._submit(host, words, settings or {}, own | dict(variables or {}))

    def submit_class(
        self, name: str, settings: Mapping[str, str], variables: Mapping[str, str], host: Host
    ) -> Process:
        """Start spark-submit with a class of Spark's own."""
        return self._submit(host, ["--class", name, "spark-internal"], settings, variables)

    def _submit(
        self,
        host: Host,
        arguments: Sequence[str],
        settings: Mapping[str, str],
        variables: Mapping[str, str],
    ) -> Process:
        host.folder.mkdir(parents=True, exist_ok=True)
        properties = host.folder / "spark.conf"
        values = {**SETTINGS, **settings}
        properties.write_text("".join(f"{name} {value}\n" for name, value in values.items()))
        words = [
            *(f"{self.spark_home}/bin/spark-submit", "--master", self.url),
            *("--properties-file", str(properties), *arguments),
        ]
        process = host.run("driver", words, variables)
        self.drivers.append(process)
        return process

    @property
    def events(self) -> Path:
        """The folder of the applications' event logs."""
        folder = self.folder / "events"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def heal(self) -> None:
        """Start workers that were killed; wait until no application runs, and delete its files.

        Logs stay. An application that was killed is gone when the master has noticed it.
        """
        for worker in self.workers:
            if worker.process is None or worker.process.is_over:
                self.start_worker(worker)
        self.wait_for_workers()
        wait_until(lambda: not self.state()["activeapps"], "the end of all applications")
        wait_until(lambda: not any(w.executors() for w in self.workers), "the end of executors")
        for environment in self.folder.glob("worker-*/*/app-*/*/environment"):
            shutil.rmtree(environment.resolve(), ignore_errors=True)

    def executor_logs(self) -> list[Path]:
        """Return the logs of all executors that there were."""
        return [log for w in self.workers for log in (w.host.folder / "work").glob("app-*/*/std*")]

    def stop(self) -> None:
        """End all processes of the cluster and of what was submitted to it."""
        for process in [*reversed(self.drivers), *(w.process for w in self.workers)]:
            if process is not None:
                process.stop()

    def _daemon(self, host: Host, name: str, *options: str) -> Sequence[str]:
        return [f"{host.home}/bin/spark-class", name, "--host", host.address, *options]


def _free_ports() -> tuple[str, ...]:
    return ("--port", "0", "--webui-port", "0")
