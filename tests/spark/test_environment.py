"""An archive that is built as users build it has all that driver and executors need."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import py4j
import pyspark
import pytest

from bedrock_spark.environment import build_environment
from bedrock_spark.environment.trim import AWS_SERVICES
from tests.archives import unpack

PYTHON = "{}.{}".format(*sys.version_info)
BASE = str(getattr(sys, "_base_executable", sys.executable))
USES = Path(__file__).with_name("environment_uses.py")
# A driver with packages of its own; the executor has those of the archive only.
_DRIVER = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()

def where(batches):
    import bedrock_spark, pyarrow
    for batch in batches:
        yield pyarrow.RecordBatch.from_pydict({"file": [bedrock_spark.__file__] * batch.num_rows})

print(spark.range(1).mapInArrow(where, "file string").first().file)
"""


@pytest.fixture(scope="module", params=[True, False], ids=["all", "executors_only"])
def unpacked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an archive; the parameter says whether it has pandas."""
    folder = tmp_path_factory.mktemp("environment")
    built = build_environment(folder, PYTHON, os.uname().machine, with_pandas=request.param)
    unpack(built.path, folder / "environment")
    built.path.unlink()
    return folder / "environment"


def has_pandas(folder: Path) -> bool:
    return (folder / "lib" / f"python{PYTHON}" / "site-packages" / "pandas").exists()


@pytest.fixture
def spark_alone(tmp_path: Path) -> Path:
    """Return a folder with PySpark, as a cluster has it, and nothing else."""
    for package in (pyspark, py4j):
        source = Path(str(package.__file__)).parent
        (tmp_path / source.name).symlink_to(source)
    return tmp_path


@pytest.mark.long
def test_an_archive_has_what_a_run_uses(unpacked: Path, spark_alone: Path) -> None:
    """With the variables of an empty environment; no warning of a package that is cut."""
    options = [] if has_pandas(unpacked) else ["WITHOUT_PANDAS"]
    done = subprocess.run(
        ["bin/python", "-W", "error", str(USES), *options],
        cwd=unpacked,
        env={"BEDROCK_SPARK_PYTHON": BASE, "PYTHONPATH": str(spark_alone)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(rf"\d\d\d modules of {unpacked}/lib/.*\n", done.stdout)
    models = unpacked / "lib" / f"python{PYTHON}" / "site-packages" / "botocore" / "data"
    assert {path.name for path in models.iterdir() if path.is_dir()} == set(AWS_SERVICES)


@pytest.mark.long
def test_executors_run_with_the_archive(unpacked: Path, tmp_path: Path) -> None:
    """Without pandas, too, which Spark asks for on the driver only."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= {
        "BEDROCK_SPARK_PYTHON": BASE,
        "PYSPARK_PYTHON": str(unpacked / "bin" / "python"),
        "PYSPARK_DRIVER_PYTHON": sys.executable,
    }
    done = subprocess.run(
        [sys.executable, "-c", _DRIVER],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().startswith(str(unpacked / "lib"))
