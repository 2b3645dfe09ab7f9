"""The cluster of these tests is what it claims to be: several hosts, which share only a network."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.cluster.hosts import isolation
from tests.cluster.standalone import StandaloneCluster
from tests.modules import ROOT

pytestmark = pytest.mark.cluster

WHERE = Path(__file__).parent / "jobs" / "where.py"
LOOK = 'hostname; env; for f in "$@"; do [ -z "$(ls -A "$f" 2>/dev/null)" ] || echo "has $f"; done'


@pytest.fixture(autouse=True)
def hosts_are_isolated() -> None:
    """Skip the tests without namespaces."""
    if isolation() is None:
        pytest.skip("namespaces are not allowed here: all hosts share their disks and process ids")


def test_hosts_share_nothing(cluster: StandaloneCluster) -> None:
    """They have other names and disks; workers have none of our files and variables."""
    hosts = [cluster.driver_host(), *(worker.host for worker in cluster.workers)]
    folders = [str(f) for f in (ROOT, sys.prefix, *(host.folder for host in hosts))]
    expected = [[0, 1, 2], [3], [4]]
    for host, own in zip(hosts, expected, strict=True):
        looked = host.run("look", ["sh", "-c", LOOK, "sh", *folders])
        assert looked.wait() == 0, looked.text
        name, *lines = looked.text.splitlines()
        assert name == host.name
        assert [line[4:] for line in lines if line.startswith("has ")] == [folders[n] for n in own]
        assert not [line for line in lines if line.startswith(("AWS_", "PYTHON", "VIRTUAL_ENV"))]
    for worker in cluster.workers:
        assert worker.process is not None
        namespaces = {Path(f"/proc/{p}/ns/pid").readlink() for p in worker.process.find("java ")}
        assert len(namespaces) == 1
        assert namespaces != {Path("/proc/self/ns/pid").readlink()}


@pytest.mark.long
def test_executors_share_nothing_with_the_driver(cluster: StandaloneCluster) -> None:
    """They run on the workers' hosts, and have the package by `--archives` only."""
    output = cluster.folder / "driver" / "where.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    folders = [str(f) for f in (ROOT, sys.prefix, output.parent, cluster.folder / "worker-1")]
    driver = cluster.submit(WHERE, str(output), *folders, is_shipped=True)
    assert driver.wait() == 0, driver.text[-4000:]
    seen = json.loads(output.read_text())
    assert seen["driver"]["folders"] == folders[:3]
    assert [task["folders"] for task in seen["tasks"]] in (
        [[folders[3]], []],
        [[], [folders[3]]],
    )
    hosts = [seen["driver"]["host"], *(task["host"] for task in seen["tasks"])]
    assert sorted(hosts) == ["driver", "worker-1", "worker-2"]
    for task in seen["tasks"]:
        assert "/environment/lib/" in task["package"]
        assert not [name for name in task["variables"] if name.startswith("AWS_")]
