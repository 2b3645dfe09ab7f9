"""What a run uses of its packages, for test_environment.py: run by the Python of an archive.

bin/python environment_uses.py [WITHOUT_PANDAS]
"""

from __future__ import annotations

import importlib.util
import io
import pkgutil
import sys

import boto3
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import bedrock_spark
from bedrock_spark.environment.trim import AWS_SERVICES
from bedrock_spark.page.charts import histogram

# What is imported only if a config or a command asks for it, of an extra that an archive has not.
NEED_EXTRAS = ("bedrock_spark.monitoring.lineage_events", "bedrock_spark.ui.")


def main(is_without_pandas: bool) -> None:
    """Import every module, and use each package as a run does."""
    names = [m.name for m in pkgutil.walk_packages(bedrock_spark.__path__, "bedrock_spark.")]
    for name in names:
        if not name.startswith(NEED_EXTRAS):
            importlib.import_module(name)
    table = pa.table({"key": [1, 2, 2], "text": ["a", None, "b"]})
    for compression in ("zstd", "snappy", "gzip", "none"):
        file = io.BytesIO()
        pq.write_table(table, file, compression=compression)
        assert pq.read_table(file).equals(table)
    assert pc.sum(table["key"]).as_py() == 5
    assert table.group_by("key").aggregate([("text", "count")]).num_rows == 2
    session = boto3.Session("AKIA", "secret", region_name="us-east-1")
    for service in AWS_SERVICES:
        assert session.client(service).meta.service_model.operation_names
    assert "<svg" in histogram("lengths", ["short", "long"], [3, 4])
    if not is_without_pandas:
        assert list(table.to_pandas().key) == [1, 2, 2]
    for name in ("pip", "setuptools", "bedrock_emulator", "moto"):
        assert importlib.util.find_spec(name) is None, name
    sys.stdout.write(f"{len(names)} modules of {bedrock_spark.__file__}\n")


if __name__ == "__main__":
    main("WITHOUT_PANDAS" in sys.argv)
