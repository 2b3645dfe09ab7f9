"""Versions, packages, clocks and disks of driver and executors."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Any

import pytest

from bedrock_spark.doctor.disk import disk_findings
from bedrock_spark.doctor.machines import driver_findings, executor_findings
from bedrock_spark.spark.examine import MODULES

NOW = 1_800_000_000.0
PACKAGES = {"bedrock-spark": "1.0", "boto3": "1.44", "msgspec": "0.19", "pyarrow": "20.0"}


@dataclass(frozen=True)
class Seen:
    host: str = "a"
    python: str = "3.11.7"
    packages: dict[str, str] = field(default_factory=lambda: dict(PACKAGES))
    free: tuple[tuple[str, int], ...] = (("/tmp", 50_000_000_000),)
    now: float = NOW


def without(*names: str) -> dict[str, str]:
    return {name: version for name, version in PACKAGES.items() if name not in names}


# Each: how the executor differs from the driver, and the line that is not ok.
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "Python": (
        {"python": "3.12.1"},
        r"error: executor b: Python 3.12.1, and the driver has 3.11.7",
    ),
    "packages": (
        {"packages": without("msgspec", "boto3")},
        r"error: executor b: lacks boto3, msgspec -> bedrock-spark environment --python 3.11 ",
    ),
    "this package": (
        {"packages": {**PACKAGES, "bedrock-spark": "0.9"}},
        r"error: executor b: has bedrock-spark 0.9, and the driver 1.0",
    ),
    "clock": ({"now": NOW + 95}, r"warning: the clock of executor b is 90 seconds from the driver"),
    "clock far behind": ({"now": NOW - 400}, r"error: the clock of executor b is 400 seconds from"),
    "disk": ({"free": (("/tmp", 900_000_000),)}, r"error: executor b: /tmp has 0.9 GB free"),
    "small disk": ({"free": (("/tmp", 4_000_000_000),)}, r"warning: executor b: /tmp has 4.0 GB"),
}


@pytest.mark.parametrize("name", CASES)
def test_an_executor_that_differs_has_its_line(name: str) -> None:
    changes, pattern = CASES[name]
    executor = replace(Seen("b"), **changes)
    found = list(executor_findings(Seen(), [Seen("c"), executor], NOW, NOW + 5))
    (bad,) = [f for f in found if f.level != "ok"]
    assert re.match(pattern, f"{bad.level}: {bad.what} -> {bad.fix}")
    assert sum("executor c" in f.what for f in found) == 3


def test_a_patch_of_python_and_newer_packages_are_no_difference() -> None:
    executor = replace(Seen("b"), python="3.11.9", packages={**PACKAGES, "boto3": "1.99"})
    assert {f.level for f in executor_findings(Seen(), [executor], NOW, NOW + 5)} == {"ok"}


@pytest.mark.parametrize(
    ("spark", "pyspark", "java", "levels"),
    [
        ("4.0.1", "4.0.1", "17.0.9", ["ok"]),
        ("3.5.3-amzn-0", "3.5.3", "17.0.9", ["ok"]),
        ("4.0.1", "4.0.1", None, ["ok"]),
        ("3.4.1", "3.4.1", "17.0.9", ["error"]),
        ("3.5.3", "4.0.1", "17.0.9", ["error"]),
        ("3.5.3", "3.5.3", "1.8.0_392", ["warning"]),
        ("3.5.3", "3.5.3", "11.0.20", ["warning"]),
        ("4.1.0", "4.1.0", "21-ea", ["ok"]),
    ],
)
def test_the_versions_of_the_driver(
    spark: str, pyspark: str, java: str | None, levels: list[str]
) -> None:
    assert [f.level for f in driver_findings(spark, pyspark, java, Seen())] == levels


def test_a_disk_has_room_or_not() -> None:
    places = [("/a", 900_000_000), ("/b", 4_000_000_000), ("/c", 10**12)]
    found = list(disk_findings(places, "this machine"))
    assert [f.level for f in found] == ["error", "warning", "ok"]
    assert found[2].what == "this machine: /c has 1,000.0 GB free"


def test_every_package_that_executors_need_is_looked_for() -> None:
    """The core and the extra `cluster`, but what only the driver imports: pandas and pygal."""
    lines = metadata.requires("bedrock-spark") or []
    needed = {re.split(r"[^\w-]", line)[0].lower() for line in lines if _is_needed(line)}
    assert set(MODULES.values()) == needed - {"pandas", "pygal"} | {"bedrock-spark"}


def _is_needed(line: str) -> bool:
    return "extra ==" not in line or re.search(r"extra == .cluster", line) is not None
