"""Tell YARN why a Python driver failed, in cluster mode.

There the driver runs in YARN's application master, far from the machine that submitted it. Spark
tells YARN only the exit code of a Python driver ("User application exited with 3"), and what the
driver prints is in the log of a container. So the error is given to Spark's application master as
its final message, which becomes the diagnostics of the application: spark-submit prints them, and
`yarn application -status` shows them. Before there is a SparkContext, the application master is not
registered, and has no final message. Then YARN quotes the end of the container's standard error.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from py4j.protocol import Py4JError
from pyspark import SparkContext
from pyspark.java_gateway import launch_gateway

log = logging.getLogger(__name__)

_MASTER = "org.apache.spark.deploy.yarn.ApplicationMaster$"
_STATUS = "org.apache.hadoop.yarn.api.records.FinalApplicationStatus"


def is_driver_of_yarn() -> bool:
    """Tell whether this process may be a Python driver in YARN's application master.

    A driver in client mode looks alike if YARN started what started it, such as Oozie or Livy.
    """
    return "CONTAINER_ID" in os.environ and "PYSPARK_GATEWAY_PORT" in os.environ


def tell_yarn(message: str, exit_code: int) -> None:
    """Make a message the diagnostics of this application. Call it last: Spark ends then.

    Does nothing if this process is no driver in an application master. Raises nothing: the exit
    code of the command stays.
    """
    if not is_driver_of_yarn():
        return
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    try:
        connect: Any = launch_gateway
        jvm: Any = (SparkContext._gateway or connect()).jvm
        jvm.java.lang.System.err.println(f"error: {message}")
        if SparkContext._active_spark_context is not None:
            _finish(jvm, message, exit_code)
    except (Py4JError, OSError, RuntimeError) as exc:
        # Spark ends its side of the connection as soon as it has the message.
        log.info("telling YARN why the run failed: %s", exc)


def _finish(jvm: Any, message: str, exit_code: int) -> None:
    """Call Spark's own ApplicationMaster.finish, which has no public way from Python.

    A driver in client mode has no application master in its JVM: then nothing is called.
    """
    classes = jvm.java.lang.Class
    module = classes.forName(_MASTER)
    # Scala's compiler chooses the whole name of the field. It is static, or one of the module.
    fields = [f for f in module.getDeclaredFields() if f.getName().endswith("master")]
    if not fields:
        log.info("telling YARN why the run failed: %s has no field for itself", _MASTER)
        return
    fields[0].setAccessible(True)
    master = fields[0].get(module.getField("MODULE$").get(None))
    if master is not None:
        failed = jvm.java.lang.Enum.valueOf(classes.forName(_STATUS), "FAILED")
        master.finish(failed, exit_code, f"error: {message}")
