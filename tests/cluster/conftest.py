from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyspark
import pytest

from tests.cluster.environment import packed_environment
from tests.cluster.runs import ClusterRun
from tests.cluster.standalone import StandaloneCluster
from tests.forked_emulator import BedrockServer, ForkedBedrock

_MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def archive() -> Path:
    """Return the packed environment of the executors."""
    return packed_environment()


@pytest.fixture(scope="session")
def cluster_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder for the disks of a cluster: in memory if possible, for many small files."""
    if not os.access(_MEMORY, os.W_OK):
        yield tmp_path_factory.mktemp("cluster")
        return
    with tempfile.TemporaryDirectory(prefix="cluster-", dir=_MEMORY) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def cluster(cluster_folder: Path, archive: Path) -> Iterator[StandaloneCluster]:
    """Return the cluster that all tests share."""
    spark_home = Path(pyspark.__file__).parent
    with StandaloneCluster(cluster_folder / "standalone", spark_home, archive) as cluster:
        yield cluster


@pytest.fixture
def run(
    cluster: StandaloneCluster, bedrock_server: BedrockServer
) -> Iterator[Callable[..., ClusterRun]]:
    """Return a function that makes a run of some rows, with a local Bedrock of its own."""
    started: list[ForkedBedrock] = []

    def start(rows: int, faults: dict[str, Any], speed: float = 3000.0, **own: Any) -> ClusterRun:
        local = ForkedBedrock(bedrock_server, faults=faults, speed=speed, seed=11)
        local.start()
        started.append(local)
        return ClusterRun(cluster, local, rows, faults, **own)

    yield start
    for process in cluster.drivers[1:]:  # the first one is the master
        process.stop()
    for local in started:
        local.stop()
    cluster.heal()
