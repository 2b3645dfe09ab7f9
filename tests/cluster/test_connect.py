"""A notebook that reaches the cluster over Spark Connect, from a machine of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pyspark
import pytest
import yaml

from tests.cluster.connect import client_packages, start_server
from tests.cluster.runs import FAULTS, ClusterRun, leaks
from tests.cluster.standalone import StandaloneCluster
from tests.modules import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.long]

CLIENT = Path(__file__).parent / "jobs" / "connect_client.py"
ROWS = 1500


def test_a_notebook(cluster: StandaloneCluster, run: Callable[..., ClusterRun]) -> None:
    """The environment reaches the executors by addArtifact; every row once, nothing twice.

    Since Spark 4, the progress of Spark's tasks is told.

    No prompt is in a log of the server, of the client, or of the executors.
    """
    one = run(ROWS, FAULTS)
    before = set(cluster.executor_logs())
    server, remote = start_server(one)
    host = cluster.driver_host("elsewhere")
    config, output = host.folder / "notebook.yaml", host.folder / "counts.json"
    values = one.config()
    del values["results"]["path"], values["results"]["format"]
    config.write_text(yaml.safe_dump(values))
    client = host.run(
        "client",
        [sys.executable, str(CLIENT), remote, str(cluster.archive), str(config), str(output)],
        one.credentials() | {"PYTHONPATH": f"{ROOT}:{client_packages()}"},
    )
    cluster.drivers.append(client)
    assert client.wait() == 0, client.text[-6000:] + server.text[-3000:]
    found = json.loads(output.read_text())
    counts = {(outcome, by): n for outcome, by, n in found["counts"]}
    assert sum(counts.values()) == ROWS
    one.check_bill(ok={by: counts[("ok", by)] for by in ("batch", "fallback")})
    if not pyspark.__version__.startswith("3."):
        for stage in ("prepare", "collect"):
            assert [line for line in found["steps"][stage] if "tasks of Spark in step" in line]
    new_logs = set(cluster.executor_logs()) - before
    assert new_logs
    assert leaks([server.log, client.log, *new_logs]) == []
