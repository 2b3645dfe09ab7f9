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


def test_executors_share_nothing_with_the_driver(cluster: StandaloneCluster) -> None:
    """They have other names and disks, none of our files, and the package by `--archives` only."""
    if isolation() is None:
        pytest.skip("namespaces are not allowed here: all hosts share their disks and process ids")
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
