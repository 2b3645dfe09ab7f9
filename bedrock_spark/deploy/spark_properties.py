"""Spark properties that a config needs on a cluster: its environment, and its table formats.

Sources: EMR Release Guide, "Use a Delta Lake cluster with Spark", "Use an Iceberg cluster with
Spark", "Use the AWS Glue Data Catalog as the metastore for Spark SQL".
"""

from __future__ import annotations

from typing import Any

from bedrock_spark.config import Config
from bedrock_spark.deploy.deployment import Deployment

ARCHIVE_FOLDER = "environment"
PYTHON = f"./{ARCHIVE_FOLDER}/bin/python"
# docs/memory.md: Python workers live in the overhead, not in the heap.
EXECUTOR = {
    "spark.executor.cores": "4",
    "spark.executor.memory": "4g",
    "spark.executor.memoryOverhead": "3584m",
    "spark.driver.memory": "2g",
    "spark.driver.memoryOverhead": "1g",
}
# Workers of EMR Serverless have whole gigabytes.
SERVERLESS_EXECUTOR = {
    **EXECUTOR,
    "spark.executor.memory": "5g",
    "spark.executor.memoryOverhead": "5g",
    "spark.driver.cores": "2",
}
_GLUE_CATALOG = (
    "com.amazonaws.glue.catalog.metastore.AWSGlueDataCatalogHiveClientFactory",
    "spark.hadoop.hive.metastore.client.factory.class",
)
_JARS = {
    "delta": "/usr/share/aws/delta/lib/delta-spark.jar,/usr/share/aws/delta/lib/delta-storage.jar",
    "iceberg": "/usr/share/aws/iceberg/lib/iceberg-spark3-runtime.jar",
}


def formats_of(config: Config) -> set[str]:
    """Return the table formats of the source and of the results."""
    named = {config.source.format, config.results.format if config.results.place else None}
    return {name.lower() for name in named if name} & {"delta", "iceberg"}


def uses_catalog(config: Config) -> bool:
    """Tell whether the config names tables by a catalog."""
    return bool(config.source.table or config.source.sql or config.results.table)


def table_properties(config: Config, *, on_emr: bool) -> dict[str, str]:
    """Return the properties of the table formats and of the Glue catalog.

    on_emr: whether EMR's own jars have to be named
    """
    formats = formats_of(config)
    properties: dict[str, str] = {}
    extensions = []
    if "delta" in formats:
        extensions.append("io.delta.sql.DeltaSparkSessionExtension")
        catalog = "org.apache.spark.sql.delta.catalog.DeltaCatalog"
        properties["spark.sql.catalog.spark_catalog"] = catalog
    if "iceberg" in formats:
        extensions.append("org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions")
        for name in _catalogs(config):
            properties[f"spark.sql.catalog.{name}"] = "org.apache.iceberg.spark.SparkCatalog"
            properties[f"spark.sql.catalog.{name}.type"] = "glue"
    if extensions:
        properties["spark.sql.extensions"] = ",".join(extensions)
    if on_emr and formats:
        properties["spark.jars"] = ",".join(_JARS[name] for name in sorted(formats))
    if on_emr and uses_catalog(config):
        value, key = _GLUE_CATALOG
        properties[key] = value
    return properties


def _catalogs(config: Config) -> list[str]:
    """Return the catalogs that tables of the form catalog.database.table name."""
    tables = [config.source.table, config.results.table]
    return sorted({t.split(".")[0] for t in tables if t is not None and t.count(".") == 2})


def with_own(deployment: Deployment, properties: dict[str, str]) -> dict[str, str]:
    """Return the properties, with those of the user in their places."""
    return {**properties, **deployment.spark}


def as_arguments(properties: dict[str, str]) -> list[str]:
    """Return properties as arguments of spark-submit."""
    return [word for key, value in properties.items() for word in ("--conf", f"{key}={value}")]


def submit_driver(deployment: Deployment, stage: str, properties: dict[str, str]) -> dict[str, Any]:
    """Return the program of a stage for a job of EMR Serverless or EMR on EKS."""
    return {
        "entryPoint": deployment.script(stage),
        "entryPointArguments": deployment.arguments,
        "sparkSubmitParameters": " ".join(as_arguments(properties)),
    }
