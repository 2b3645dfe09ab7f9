"""Spark, Java, Python and the packages on the driver and the executors, their clocks and disks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from bedrock_spark.doctor.account import clock_finding
from bedrock_spark.doctor.disk import disk_findings
from bedrock_spark.doctor.findings import Finding, error, ok, warning

# README.md, "Both set up what they need".
_LEAST_JAVA, _LEAST_SPARK = 17, (3, 5)


class Machine(Protocol):
    """What one machine has: see `bedrock_spark.spark.examine`."""

    @property
    def host(self) -> str:
        """Its name."""
        ...

    @property
    def python(self) -> str:
        """The version of Python."""
        ...

    @property
    def packages(self) -> Mapping[str, str]:
        """Versions by package."""
        ...

    @property
    def free(self) -> Sequence[tuple[str, int]]:
        """Folders of local files with their free bytes."""
        ...

    @property
    def now(self) -> float:
        """Its time in seconds since the epoch."""
        ...


def driver_findings(
    spark: str, pyspark: str, java: str | None, driver: Machine
) -> Iterator[Finding]:
    """Yield whether the versions on the driver work, and fit together.

    spark: the version of the session; pyspark: of Python's part of it; java: None if unknown
    """
    shown = f"Spark {spark}, Java {java or 'unknown'}, Python {driver.python}"
    faults = []
    if _numbers(spark)[:2] < _LEAST_SPARK:
        faults.append(error(f"driver: Spark {spark} is too old", 'pip install "pyspark>=3.5.3,<5"'))
    if _numbers(spark)[:2] != _numbers(pyspark)[:2]:
        what = f"driver: Spark {spark} and PySpark {pyspark} differ, which fails in odd ways"
        faults.append(error(what, f'pip install "pyspark=={spark}"'))
    if java is not None and _java(java) < _LEAST_JAVA:
        what = f"driver: Java {java} is older than {_LEAST_JAVA}"
        faults.append(warning(what, "export JAVA_HOME=/PATH/TO/JAVA-17"))
    yield from faults
    if not faults:
        yield ok(f"driver {driver.host}: {shown}, {_packages(driver)}")


def executor_findings(
    driver: Machine, executors: Sequence[Machine], before: float, after: float
) -> Iterator[Finding]:
    """Yield whether the executors fit the driver.

    before, after: the driver's time around the question
    """
    for executor in executors:
        yield from _packages_of(driver, executor)
        off = max(0.0, executor.now - after, before - executor.now)
        yield clock_finding(off, f"the clock of executor {executor.host}", "the driver's")
        yield from disk_findings(executor.free, f"executor {executor.host}")


def _packages_of(driver: Machine, executor: Machine) -> Iterator[Finding]:
    name, faults = f"executor {executor.host}", []
    python = ".".join(driver.python.split(".")[:2])
    fix = f"bedrock-spark environment --python {python}    # prints the options of spark-submit"
    if _numbers(executor.python)[:2] != _numbers(driver.python)[:2]:
        what = f"{name}: Python {executor.python}, and the driver has {driver.python}"
        faults.append(error(what, fix))
    missing = sorted(set(driver.packages) - set(executor.packages))
    if missing:
        faults.append(error(f"{name}: lacks {', '.join(missing)}", fix))
    own, ours = (each.packages.get("bedrock-spark") for each in (executor, driver))
    if own and ours and own != ours:
        what = f"{name}: has bedrock-spark {own}, and the driver {ours}"
        faults.append(error(what, fix))
    yield from faults
    if not faults:
        yield ok(f"{name}: Python {executor.python}, {_packages(executor)}")


def _packages(machine: Machine) -> str:
    named = ("bedrock-spark", "boto3", "pyarrow")
    known = [f"{name} {machine.packages[name]}" for name in named if machine.packages.get(name)]
    return ", ".join([*known, f"{len(machine.packages)} packages in all"])


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split(".")
    return tuple(int(part) for part in parts[:2] if part.isdigit())


def _java(version: str) -> int:
    """Return the number of a version of Java: 8 of 1.8.0_392, 17 of 17.0.9."""
    parts = version.replace("-", ".").split(".")
    return int(parts[1] if parts[0] == "1" and len(parts) > 1 else parts[0])
