"""The settings of a session on one machine alone, which no other machine can fail or slow down.

docs/performance.md has what each of them gives.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

# With more partitions than cores no core is idle while the last ones run.
_PARTITIONS_PER_CORE = 4
# local, local[2], local[*], local[2,3]: the cores, and how often a task may fail. local-cluster,
# which starts executors as processes of their own, is another kind.
_MASTER = re.compile(r"local(?:\[(\d+|\*)(?:,.*)?\])?")
ATTEMPTS = "spark.stage.maxConsecutiveAttempts"
_COLLECTOR = re.compile(r"-XX:\+Use\w+GC\b")
# Rows of batches live shortly, and nobody waits for an answer of this process: the collector with
# the highest throughput. Unlike others, it would end a process that collects much.
_PARALLEL_COLLECTOR = ("-XX:+UseParallelGC", "-XX:-UseGCOverheadLimit")
# Java compiles a method again, with all optimisations, if it is called often or its loops run long.
# That pays for the loops over rows. For the thousands of methods that plan a query it costs more
# than it gives. So it happens ten times as late as by default.
_COMPILER = re.compile(r"-XX:[+-]?Tier|CompileThreshold|-Xint\b|-Xcomp\b")
_LATE_COMPILER = (
    "-XX:Tier4InvocationThreshold=50000",
    "-XX:Tier4MinInvocationThreshold=6000",
    "-XX:Tier4CompileThreshold=150000",
    "-XX:Tier4BackEdgeThreshold=400000",
)


def is_one_machine(master: str) -> bool:
    """Tell whether all tasks of a master of Spark run on this machine."""
    return _MASTER.fullmatch(master) is not None


def one_machine_settings(master: str | None, attempts: str | None = None) -> dict[str, str]:
    """Return the settings for a master of Spark; none for any but one machine.

    master: None is Spark's default, all cores of this machine
    attempts: how often the user lets Spark begin a step; None if that is not set
    """
    match = _MASTER.fullmatch(master or "local[*]")
    if match is None:
        return {}
    cores = os.cpu_count() or 1 if match[1] == "*" else int(match[1] or 1)
    settings = {
        "spark.sql.files.minPartitionNum": str(cores * _PARTITIONS_PER_CORE),
        # The files of the shuffle are on this machine's disk, and mostly in its cache.
        "spark.shuffle.compress": "false",
        ATTEMPTS: "1",
    }
    # The checksum tells whether the rows of a step that is done again are other ones. With one
    # attempt no step is: if files of the shuffle are lost, the command fails. A task that fails is
    # repeated, and nothing has read what it wrote before.
    if attempts in (None, settings[ATTEMPTS]):
        settings["spark.sql.shuffle.orderIndependentChecksum.enabled"] = "false"
    return settings


def own_java_options(given: Iterable[str | None]) -> tuple[str, ...]:
    """Return the options of Java for its garbage collector and its compiler.

    given: options of Java that others have set; what they choose is left out
    """
    texts = [options for options in given if options]
    ours = ((_COLLECTOR, _PARALLEL_COLLECTOR), (_COMPILER, _LATE_COMPILER))
    return tuple(
        option
        for chosen, options in ours
        if not any(chosen.search(text) for text in texts)
        for option in options
    )
