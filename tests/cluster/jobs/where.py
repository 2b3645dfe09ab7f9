"""A Spark application that writes where its tasks run: python where.py OUTPUT FOLDER..."""

import json
import os
import platform
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

from pyspark.sql import SparkSession


def look(folders: list[str]) -> dict[str, object]:
    """Return what a process sees. Of the folders, those that are there and not empty."""
    spec = find_spec("bedrock_spark")
    return {
        "host": platform.node(),
        "pid": os.getpid(),
        "package": spec.origin if spec is not None else None,
        "variables": sorted(os.environ),
        "folders": [f for f in folders if Path(f).exists() and any(Path(f).iterdir())],
    }


def let_go(meeting: socket.socket, tasks: int) -> None:
    """Close the connections of tasks when all of them have connected."""
    for connection in [meeting.accept()[0] for _ in range(tasks)]:
        connection.close()


def main(output: str, folders: list[str]) -> None:
    """Look from two tasks at once, which are on two hosts, and from the driver.

    They do not meet by Spark's barrier: its timer keeps a driver of Spark 3.5 from ending.
    """
    spark = SparkSession.builder.getOrCreate()
    with closing(socket.create_server(("127.0.0.1", 0))) as meeting:
        address = meeting.getsockname()
        Thread(target=let_go, args=(meeting, 2), daemon=True).start()

        def task(_: Iterator[int]) -> Iterator[dict[str, object]]:
            with closing(socket.create_connection(address)) as connection:
                connection.recv(1)
            yield look(folders)

        tasks = spark.sparkContext.parallelize(range(2), 2).mapPartitions(task).collect()
    Path(output).write_text(json.dumps({"driver": look(folders), "tasks": tasks}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
