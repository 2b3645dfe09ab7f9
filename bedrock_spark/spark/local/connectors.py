"""What a config needs that Spark alone has not: the jars and settings for S3, Delta Lake, Iceberg.

Only tested versions are in the tables below; docs/lakehouse.md shows them. Of the AWS SDK only the
modules that S3A uses are fetched: 14 MB, not the bundle of 600 MB that hadoop-aws depends on. Spark
has Netty and SLF4J itself, in other versions, so theirs are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bedrock_spark.config import Config
from bedrock_spark.errors import ConfigError
from bedrock_spark.spark.local.user_settings import UserSettings

EXTENSIONS = "spark.sql.extensions"
PACKAGES = "spark.jars.packages"
EXCLUDES = "spark.jars.excludes"

# By version of Hadoop, the version of the AWS SDK for Java that its hadoop-aws was built with
# (aws-java-sdk-v2.version in hadoop-project's POM, aws-java-sdk.version before 3.4).
AWS_SDK = {
    "3.3.4": "1.12.262",
    "3.4.1": "2.24.6",
    "3.4.2": "2.29.52",
    "3.4.3": "2.35.4",
    "3.5.0": "2.35.4",
}
# By version of Spark.
DELTA = {"3.5": "io.delta:delta-spark_2.12:3.3.3", "4.1": "io.delta:delta-spark_4.1_2.13:4.4.0"}
ICEBERG = {
    "3.5": "org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:1.12.0",
    "4.1": "org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:1.12.0",
}
# Iceberg's own access to S3 and Glue, for every version of Spark.
ICEBERG_AWS = "org.apache.iceberg:iceberg-aws-bundle:1.12.0"

_S3_URI = re.compile(r"\bs3[an]?://", re.IGNORECASE)
_S3A_JARS = re.compile(r"hadoop-aws\b|spark-hadoop-cloud")
_EMRFS_JARS = re.compile(r"emrfs")
# Values of a catalog's settings that need ICEBERG_AWS; so do requests that are signed.
_ICEBERG_AWS = re.compile(r"org\.apache\.iceberg\.aws\.|glue")
_DELTA_CATALOG = "org.apache.spark.sql.delta.catalog.DeltaCatalog"


@dataclass(frozen=True)
class Installed:
    """What is installed: the versions of Spark (such as 4.1) and Hadoop, and the names of jars.

    jars: those on Spark's class path, and the packages that the user asks for
    """

    spark: str
    hadoop: str
    jars: frozenset[str]

    def has(self, pattern: re.Pattern[str]) -> bool:
        return any(pattern.search(name) for name in self.jars)


@dataclass(frozen=True)
class Connector:
    """One thing to add to a session.

    settings: for what the user has not set
    extensions: classes to add to spark.sql.extensions
    megabytes: the size of all packages
    """

    name: str
    packages: tuple[str, ...]
    megabytes: int
    excludes: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    extensions: tuple[str, ...] = ()

    @property
    def is_s3(self) -> bool:
        return any("hadoop-aws" in package for package in self.packages)


def installed(spark_home: Path, user: UserSettings, class_path: str = "") -> Installed:
    """Look at the jars of a Spark installation, and at those that the user's settings name.

    class_path: more jars, as in SPARK_DIST_CLASSPATH
    """
    own = [path.name for path in (spark_home / "jars").glob("*.jar")]
    places = [*class_path.split(":"), *(user.get("spark.driver.extraClassPath") or "").split(":")]
    others = [name for place in places for name in _jars_of(place)]
    listed = [*(user.get("spark.jars") or "").split(","), *(user.get(PACKAGES) or "").split(",")]
    return Installed(
        spark=".".join(_version(own, "spark-core_").split(".")[:2]),
        hadoop=_version(own, "hadoop-client-api-"),
        jars=frozenset(filter(None, [*own, *others, *listed])),
    )


def uses_s3(configs: Sequence[Config], user: UserSettings) -> bool:
    """Tell whether Spark itself reads or writes in S3. The run folder does not count."""
    sources, results = [c.source for c in configs], [c.results for c in configs]
    named = [
        *(text for each in sources for text in (each.path, each.table, each.sql)),
        *(text for each in results for text in (each.path, each.table)),
        *(value for name, value in user.settings.items() if name.endswith((".warehouse", ".dir"))),
    ]
    return any(_S3_URI.search(text) for text in named if text)


def has_s3a(here: Installed) -> bool:
    """Tell whether S3A itself is there already. EMRFS has other settings."""
    return here.has(_S3A_JARS)


def s3_connector(here: Installed) -> Connector | None:
    """Return hadoop-aws in the version of Spark's Hadoop; None if S3A or EMRFS is there already."""
    if has_s3a(here) or here.has(_EMRFS_JARS):
        return None
    hadoop_aws, sdk = f"org.apache.hadoop:hadoop-aws:{here.hadoop}", AWS_SDK.get(here.hadoop)
    if sdk is None:  # with the whole bundle: any version works, and is large
        return Connector(f"hadoop-aws {here.hadoop} and the AWS SDK", (hadoop_aws,), 600)
    excludes: tuple[str, ...]
    if sdk.startswith("1."):
        modules = [f"com.amazonaws:aws-java-sdk-{m}:{sdk}" for m in ("s3", "dynamodb", "sts")]
        excludes, megabytes = ("com.amazonaws:aws-java-sdk-bundle",), 7
    else:
        modules = [f"software.amazon.awssdk:{m}:{sdk}" for m in ("s3", "s3-transfer-manager")]
        excludes = ("software.amazon.awssdk:bundle", "io.netty:*", "org.slf4j:*")
        megabytes = 14
    name = f"hadoop-aws {here.hadoop} and modules of the AWS SDK {sdk}"
    return Connector(name, (hadoop_aws, *modules), megabytes, excludes)


def lake_connectors(
    configs: Sequence[Config], user: UserSettings, here: Installed
) -> list[Connector]:
    """Return what the table formats of configs need.

    Raises ConfigError if no release of the format works with this Spark, and the user adds none.
    """
    connectors = []
    formats = {name for config in configs for name in _formats(config, user)}
    if "delta" in formats:
        packages = _packages("delta", DELTA, re.compile(r"delta-(spark|core)"), here)
        settings = {"spark.sql.catalog.spark_catalog": _DELTA_CATALOG}
        extensions = ("io.delta.sql.DeltaSparkSessionExtension",)
        connectors.append(Connector("Delta Lake", packages, 8, (), settings, extensions))
    if "iceberg" in formats:
        packages = _packages("iceberg", ICEBERG, re.compile(r"iceberg-spark"), here)
        extensions = ("org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",)
        megabytes = 48
        if packages and _uses_iceberg_aws(user) and not here.has(re.compile("iceberg-aws")):
            packages, megabytes = (*packages, ICEBERG_AWS), 117
        connectors.append(Connector("Iceberg", packages, megabytes, (), {}, extensions))
    return connectors


def _uses_iceberg_aws(user: UserSettings) -> bool:
    """Tell whether a catalog of the user's settings is Glue, is in S3 Tables, or uses S3FileIO."""
    return any(
        name.startswith("spark.sql.catalog.")
        and (_ICEBERG_AWS.match(value) or name.endswith(".rest.sigv4-enabled"))
        for name, value in user.settings.items()
    )


def _packages(
    name: str, known: Mapping[str, str], jars: re.Pattern[str], here: Installed
) -> tuple[str, ...]:
    if here.has(jars):
        return ()
    if here.spark not in known:
        newest = max(known, key=lambda version: [int(part) for part in version.split(".")])
        major, minor = newest.split(".")
        raise ConfigError(
            f"the config uses {name} tables, and no release of {name} is known to work with Spark "
            f"{here.spark}. It works with Spark {' and '.join(known)}: pip install "
            f'"pyspark>={newest},<{major}.{int(minor) + 1}". Or add jars of your own: '
            "spark.jars.packages in spark-defaults.conf"
        )
    return (known[here.spark],)


def _formats(config: Config, user: UserSettings) -> Iterator[str]:
    """Yield the table formats that the config names, or that a catalog of the user's settings has.

    A catalog counts if the config names a table or a query: what is in the catalog is not known.
    """
    source, results = config.source, config.results
    if source.format is not None:
        yield source.format.lower()
    if results.path is not None or results.table is not None:
        yield results.format.lower()
    texts = [text for text in (source.table, source.sql, results.table) if text is not None]
    for text in texts:
        yield from (name.lower() for name in re.findall(r"\b(delta|iceberg)\s*\.\s*`", text, re.I))
    for name, value in user.settings.items():
        if texts and name.startswith("spark.sql.catalog."):
            yield from (f for f in ("delta", "iceberg") if f".{f}." in value)


def _version(jars: list[str], prefix: str) -> str:
    """Return the version in a jar's name, such as spark-core_2.13-4.1.4.jar."""
    for name in jars:
        if name.startswith(prefix):
            return name.removesuffix(".jar").rpartition("-")[2]
    return ""


def _jars_of(place: str) -> list[str]:
    """Return the names of the jars in one place of a class path, which may end in `/*`."""
    if not place.endswith("*"):
        return [Path(place).name] if place else []
    return [path.name for path in Path(place.removesuffix("*")).glob("*.jar")]
