"""YARN on this machine: a ResourceManager and a NodeManager, as on EMR but for the machines.

https://hadoop.apache.org/docs/stable/hadoop-yarn/hadoop-yarn-site/YARN.html. The classes come from
Hadoop's own jar for tests, in the version of Spark's Hadoop, and lie on Spark's other jars.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from bedrock_spark.spark.local.connectors import installed
from bedrock_spark.spark.local.user_settings import UserSettings
from tests.cluster.processes import SECONDS, Process, StartedCluster, start, wait_until
from tests.modules import ROOT

_BOUNCY_CASTLE = "1.78.1"  # Hadoop's web proxy needs it, and the jar does not contain it
# Guice of Hadoop 3.3 defines classes by reflection, which Java 17 allows only if it is told so.
_JAVA = (
    *("-Xmx300m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
    *("--add-opens", "java.base/java.lang=ALL-UNNAMED"),
)
_SERVER = "org.apache.hadoop.yarn.server."
APPLICATION_MASTER = "deploy.yarn.ApplicationMaster"


def yarn_jars(spark_home: Path) -> list[Path]:
    """Return the jars of YARN's servers. Ivy, which Spark brings, fetches them once."""
    hadoop = installed(spark_home, UserSettings({}, ())).hadoop
    folder = ROOT / ".cluster" / f"yarn-{hadoop}"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        modules = [("org.apache.hadoop", "hadoop-client-minicluster", hadoop)]
        for name in ("bcprov", "bcpkix", "bcutil"):
            modules.append(("org.bouncycastle", f"{name}-jdk18on", _BOUNCY_CASTLE))
        dependencies = "".join(
            f'<dependency org="{org}" name="{name}" rev="{rev}" transitive="false"/>'
            for org, name, rev in modules
        )
        (folder / "ivy.xml").write_text(
            '<ivy-module version="2.0"><info organisation="tests" module="yarn"/>'
            f"<dependencies>{dependencies}</dependencies></ivy-module>"
        )
        ivy = next((spark_home / "jars").glob("ivy-*.jar"))
        command = ["java", "-cp", str(ivy), "org.apache.ivy.Main", "-ivy", "ivy.xml", "-types",
                   "jar", "-retrieve", "[artifact]-[revision].[ext]"]  # fmt: skip
        subprocess.run(command, cwd=folder, check=True, timeout=900, stdout=subprocess.DEVNULL)
        (folder / "complete").touch()
    return sorted(folder.glob("*.jar"))


@dataclass
class Yarn(StartedCluster):
    """A cluster whose files are below `folder`. Use it in a `with` block, which starts it.

    submitted: what was started by `submit`
    """

    folder: Path
    spark_home: Path
    submitted: list[Process] = field(default_factory=list)
    servers: list[Process] = field(default_factory=list)

    def stop(self) -> None:
        """End all processes. Containers are descendants of the NodeManager."""
        for process in [*self.submitted, *reversed(self.servers)]:
            process.stop()

    def _start(self) -> None:
        conf = self.folder / "conf"
        conf.mkdir(parents=True)
        _write_xml(conf / "core-site.xml", {
            "fs.defaultFS": "file:///",
            "hadoop.tmp.dir": str(self.folder / "tmp"),
        })  # fmt: skip
        _write_xml(conf / "yarn-site.xml", self._settings())
        class_path = [conf, *yarn_jars(self.spark_home), self.spark_home / "jars" / "*"]
        for name in ("resourcemanager.ResourceManager", "nodemanager.NodeManager"):
            command = ["java", *_JAVA, "-cp", ":".join(map(str, class_path)), _SERVER + name]
            log = self.folder / f"{name.partition('.')[0]}.log"
            self.servers.append(start(command, self.environment(), log, self.folder))
        wait_until(self._is_up, "a node of YARN")

    @cached_property
    def _web(self) -> str:
        return f"127.0.0.1:{_free_port()}"

    def _settings(self) -> dict[str, str]:
        manager, node = "yarn.resourcemanager.", "yarn.nodemanager."
        names = [f"{manager}{n}address" for n in ("", "scheduler.", "resource-tracker.", "admin.")]
        names += [f"{node}{n}address" for n in ("", "localizer.", "webapp.")]
        return {
            **{name: f"127.0.0.1:{_free_port()}" for name in names},
            f"{manager}webapp.address": self._web,
            f"{manager}scheduler.class": f"{_SERVER}resourcemanager.scheduler.fifo.FifoScheduler",
            f"{manager}am.max-attempts": "2",
            f"{node}hostname": "127.0.0.1",
            f"{node}local-dirs": str(self.folder / "local"),
            f"{node}log-dirs": str(self.folder / "logs"),
            f"{node}resource.memory-mb": "4096",
            f"{node}resource.cpu-vcores": "4",
            f"{node}vmem-check-enabled": "false",
            f"{node}pmem-check-enabled": "false",
            f"{node}disk-health-checker.enable": "false",
            "yarn.scheduler.minimum-allocation-mb": "128",
        }

    def _is_up(self) -> bool:
        for server in self.servers:
            assert not server.is_over, server.text[-3000:]
        try:
            return bool(self._get("metrics", "clusterMetrics")["activeNodes"])
        except OSError:
            return False

    def _get(self, path: str, root: str) -> dict[str, Any]:
        """Return what the ResourceManager says: the object `root`, or its members without it.

        Which of them it is depends on the version of Jackson among Spark's jars.
        """
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{self._web}/ws/v1/cluster/{path}", timeout=SECONDS) as reply:
            said: dict[str, Any] = json.loads(reply.read())
        members: dict[str, Any] = said.get(root, said)
        return members

    def environment(self) -> dict[str, str]:
        """Return the variables of each process: none of the user's but for Java's place."""
        java = os.environ["JAVA_HOME"]
        return {
            "PATH": f"{java}/bin:/usr/local/bin:/usr/bin:/bin",
            "JAVA_HOME": java,
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "SPARK_HOME": str(self.spark_home),
            "HADOOP_CONF_DIR": str(self.folder / "conf"),
            "SPARK_LOCAL_IP": "127.0.0.1",
        }

    def submit(
        self,
        name: str,
        config: Path,
        settings: Mapping[str, str],
        *arguments: str,
        archive: Path | None = None,
    ) -> Process:
        """Start spark-submit in cluster mode; the config travels by `--files`.

        archive: the environment of driver and executors; without it, the driver has this one, and
            the executors the system's Python without packages
        """
        python = "./environment/bin/python" if archive is not None else "/usr/bin/python3"
        own = {"PYSPARK_DRIVER_PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
        values = {
            "spark.yarn.jars": f"local:{self.spark_home}/jars/*",
            "spark.yarn.stagingDir": (self.folder / "staging").as_uri(),
            "spark.yarn.report.interval": "500ms",
            "spark.executor.instances": "1",
            "spark.executor.memory": "600m",
            "spark.driver.memory": "600m",
            "spark.sql.shuffle.partitions": "2",
            "spark.ui.port": "0",
            "spark.yarn.appMasterEnv.PYSPARK_PYTHON": python,
            "spark.executorEnv.PYSPARK_PYTHON": python,
            **({} if archive else {f"spark.yarn.appMasterEnv.{k}": v for k, v in own.items()}),
            **settings,
        }
        properties = self.folder / f"{name}.conf"
        properties.write_text("".join(f"{key} {value}\n" for key, value in values.items()))
        command = [
            *(f"{self.spark_home}/bin/spark-submit", "--master", "yarn"),
            *("--deploy-mode", "cluster", "--properties-file", str(properties)),
            *("--files", str(config)),
            *(("--archives", f"{archive}#environment") if archive else ()),
            *(str(ROOT / "jobs" / "run.py"), "--config", config.name, *arguments),
        ]
        log = self.folder / f"{name}.log"
        process = start(command, self.environment(), log, self.folder)
        self.submitted.append(process)
        return process

    def application_of(self, process: Process) -> str:
        """Return the id of the application that a process has submitted."""
        return process.wait_for(r"Submitted application (application_\w+)")[1]

    def output(self, application: str, attempt: int) -> str:
        """Return what the driver of an attempt has printed so far."""
        number = application.removeprefix("application_")
        pattern = f"logs/{application}/container*_{number}_{attempt:02}_000001/stdout"
        return "".join(log.read_text("utf-8", "replace") for log in self.folder.glob(pattern))

    def application_masters(self) -> list[int]:
        """Return the process ids of the JVMs of application masters."""
        return self.servers[1].find(rf"/bin/java .*{re.escape(APPLICATION_MASTER)} ")


def final_report(process: Process) -> tuple[str, str]:
    """Return the final status and the diagnostics of an application, as spark-submit prints them.

    The ResourceManager of Hadoop 3.3 cuts its own reply short under Java 17.
    """
    reports = re.findall(
        r"\tdiagnostics: (.*?)\n\s*ApplicationMaster host:.*?final status: (\w+)",
        re.sub(r"\n\t ", "\n\t", process.text),
        re.DOTALL,
    )
    assert reports, process.text[-3000:]
    diagnostics, status = reports[-1]
    return status, diagnostics.strip()


def _write_xml(path: Path, values: Mapping[str, str]) -> None:
    properties = "".join(
        f"<property><name>{name}</name><value>{escape(value)}</value></property>"
        for name, value in values.items()
    )
    path.write_text(f"<configuration>{properties}</configuration>")


def _free_port() -> int:
    """Return a port that was free a moment ago: Hadoop's servers must know each other's before."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port
