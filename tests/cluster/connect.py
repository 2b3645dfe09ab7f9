"""A Spark Connect server on a cluster, and what its clients need.

https://spark.apache.org/docs/latest/spark-connect-overview.html
"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pyspark

from tests.cluster.processes import Process
from tests.cluster.runs import ClusterRun, skip_without_jars
from tests.modules import ROOT

_SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
# Before Spark 4, the server is a package of its own.
_PACKAGE = f"org.apache.spark:spark-connect_2.12:{pyspark.__version__}"


def client_packages() -> Path:
    """Return a folder with the packages that PySpark needs as a client; fetch them once."""
    folder = ROOT / ".cluster" / f"connect-{pyspark.__version__}-{sys.version_info[1]}"
    if not folder.exists():
        wanted = [r.split(";")[0] for r in requires("pyspark") or () if 'extra == "connect"' in r]
        own = ("pandas", "pyarrow", "numpy")  # are installed, by the package's extra
        names = [name for name in wanted if not name.startswith(own)]
        made = folder.with_suffix(".part")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(made)]
        subprocess.run([*command, *names], check=True, timeout=900)
        made.rename(folder)
    return folder


def start_server(one: ClusterRun) -> tuple[Process, str]:
    """Start a Connect server as an application of the cluster; return its address, too."""
    cluster, host = one.cluster, one.cluster.driver_host()
    settings = one.spark_settings() | {
        "spark.connect.grpc.binding.port": "0",
        "spark.connect.progress.reportInterval": "200ms",
    }
    if pyspark.__version__.startswith("3."):
        settings["spark.jars.packages"] += f",{_PACKAGE}"
    server = cluster.submit_class(_SERVER, settings, one.credentials(), host)
    port = server.wait_for(r"Spark Connect server started at: \S*?:(\d+)|unresolved dep")[1]
    skip_without_jars(server)
    return server, f"sc://127.0.0.1:{port}"
