"""A session of our own gets what the config needs, and keeps what the user has set."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.config import Config, parse_config
from bedrock_spark.errors import ConfigError
from bedrock_spark.spark.local import connectors
from bedrock_spark.spark.local.one_machine import one_machine_settings, own_java_options
from bedrock_spark.spark.local.plan import SessionPlan, plan_session
from tests.sources_doc import LAKEHOUSE, packages_for
from tests.unit.fakes import config_values

HADOOP = {"3.5.9": "3.3.4", "4.0.5": "3.4.1", "4.1.4": "3.4.2", "4.3.0": "3.5.0"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use an empty home, and no variables of AWS but fake credentials."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


def spark_home(tmp_path: Path, version: str = "4.3.0", *jars: str) -> Path:
    """Make a folder with the jars that tell the versions, and more."""
    folder = tmp_path / "spark"
    (folder / "jars").mkdir(parents=True, exist_ok=True)
    names = (f"spark-core_2.13-{version}.jar", f"hadoop-client-api-{HADOOP[version]}.jar", *jars)
    for name in names:
        (folder / "jars" / name).touch()
    return folder


def plan(
    tmp_path: Path, sections: dict[str, Any] | None = None, version: str = "4.3.0",
    arguments: str = "pyspark-shell", jars: tuple[str, ...] = (), **variables: str,
) -> SessionPlan:  # fmt: skip
    configs: list[Config] = []
    if sections is not None:
        configs.append(parse_config({**config_values(), **sections}))
    return plan_session(
        configs,
        {"PYSPARK_SUBMIT_ARGS": arguments, **variables},
        spark_home=spark_home(tmp_path, version, *jars),
        folder=tmp_path,
        java_options=("-Dx=1",),
    )


def java_of(settings: Mapping[str, str]) -> list[str]:
    return settings["spark.driver.defaultJavaOptions"].split()


def packages(planned: SessionPlan) -> list[str]:
    return planned.settings.get("spark.jars.packages", "").split(",")


S3_SOURCE = {"source": {"format": "parquet", "path": "s3://lake/t", "key": ["id"]}}
LOCAL_SOURCE = {"source": {"format": "parquet", "path": "/lake/t", "key": ["id"]}}


@pytest.mark.parametrize(
    "sections",
    [
        S3_SOURCE,
        {"source": {"format": "text", "path": "S3A://lake/t"}},
        {"source": {"sql": "SELECT * FROM parquet.`s3://lake/t`"}},
        {**LOCAL_SOURCE, "results": {"path": "s3://lake/out"}},
        {**LOCAL_SOURCE, "results": {"format": "parquet", "table": "parquet.x"},
         "arguments": "--conf spark.sql.warehouse.dir=s3://lake/warehouse pyspark-shell"},
    ],
)  # fmt: skip
def test_s3_paths_bring_the_connector(tmp_path: Path, sections: dict[str, Any]) -> None:
    """Wherever the config or a warehouse names S3, the jars come and s3:// is mapped to S3A."""
    arguments = sections.get("arguments", "pyspark-shell")
    config = {name: value for name, value in sections.items() if name != "arguments"}
    planned = plan(tmp_path, config, arguments=arguments)
    assert "org.apache.hadoop:hadoop-aws:3.5.0" in packages(planned)
    assert planned.settings["spark.hadoop.fs.s3.impl"].endswith("S3AFileSystem")
    (line,) = planned.fetches
    assert "14 MB" in line


@pytest.mark.parametrize("sections", [None, LOCAL_SOURCE])
def test_nothing_is_added_without_need(tmp_path: Path, sections: dict[str, Any] | None) -> None:
    """The run folder in S3 is read by boto3, so it needs no connector."""
    planned = plan(tmp_path, sections)
    assert planned.fetches == ()
    assert set(planned.settings) - set(one_machine_settings(None)) == {
        "spark.ui.enabled", "spark.ui.showConsoleProgress", "spark.driver.defaultJavaOptions"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "partitions"),
    [
        ("pyspark-shell", 4 * (os.cpu_count() or 1)),
        ("--master local[*] pyspark-shell", 4 * (os.cpu_count() or 1)),
        ("--master local pyspark-shell", 4),
        ("--master local[3] pyspark-shell", 12),
        ("--master local[3,5] pyspark-shell", 12),
        ("--master local-cluster[2,1,1024] pyspark-shell", None),
        ("--master yarn pyspark-shell", None),
        ("--remote sc://host pyspark-shell", None),
    ],
)
def test_one_machine_gets_settings_for_its_cores(
    tmp_path: Path, arguments: str, partitions: int | None
) -> None:
    """Where there are executors, a lost one is replaced: there its steps may be done again."""
    settings = plan(tmp_path, LOCAL_SOURCE, arguments=arguments).settings
    names = set(one_machine_settings(None)) & set(settings)
    if partitions is None:
        assert not names
        assert not set(own_java_options(())) & set(java_of(settings))
        return
    assert names == set(one_machine_settings(None))
    assert settings["spark.sql.files.minPartitionNum"] == str(partitions)
    checksum = settings["spark.sql.shuffle.orderIndependentChecksum.enabled"]
    assert (checksum, settings["spark.stage.maxConsecutiveAttempts"]) == ("false", "1")
    assert set(own_java_options(())) <= set(java_of(settings))


@pytest.mark.parametrize(
    ("arguments", "variables", "left"),
    [
        ("--conf spark.driver.defaultJavaOptions=-XX:+UseZGC pyspark-shell", {}, "Tier4"),
        ("--driver-java-options '-Da=1 -XX:+UseG1GC' pyspark-shell", {}, "Tier4"),
        ("pyspark-shell", {"JAVA_TOOL_OPTIONS": "-XX:+UseSerialGC"}, "Tier4"),
        ("--driver-java-options -XX:TieredStopAtLevel=1 pyspark-shell", {}, "GC"),
        ("pyspark-shell", {"JAVA_TOOL_OPTIONS": "-XX:-TieredCompilation"}, "GC"),
        ("pyspark-shell", {"JDK_JAVA_OPTIONS": "-XX:Tier4InvocationThreshold=9"}, "GC"),
        ("pyspark-shell", {"SPARK_SUBMIT_OPTS": "-Xint"}, "GC"),
        ("--driver-java-options '-XX:CompileThresholdScaling=2 -XX:+UseZGC' pyspark-shell", {}, ""),
    ],
)
def test_a_collector_and_a_compiler_that_the_user_chose_stay(
    tmp_path: Path, arguments: str, variables: dict[str, str], left: str
) -> None:
    """With two collectors, Java does not start. Of the other kind, our options are added."""
    planned = plan(tmp_path, LOCAL_SOURCE, arguments=arguments, **variables)
    added = set(own_java_options(())) & set(java_of(planned.settings))
    assert added == {option for option in own_java_options(()) if left and left in option}


def test_java_starts_with_our_options() -> None:
    """Java does not start with an option that it does not know."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    if java is None:
        pytest.skip("needs Java")
    started = subprocess.run(
        [java, *own_java_options(()), "-version"], capture_output=True, text=True, check=False
    )
    assert started.returncode == 0, started.stderr
    assert "warning" not in started.stderr.lower()


@pytest.mark.parametrize(("attempts", "has_checksum"), [("1", False), ("4", True)])
def test_rows_that_a_step_done_again_changes_are_found(
    tmp_path: Path, attempts: str, has_checksum: bool
) -> None:
    """A user who lets Spark do steps again keeps the checksum, which is Spark's default."""
    arguments = f"--conf spark.stage.maxConsecutiveAttempts={attempts} pyspark-shell"
    settings = plan(tmp_path, LOCAL_SOURCE, arguments=arguments).settings
    checksum = settings.get("spark.sql.shuffle.orderIndependentChecksum.enabled")
    assert checksum == (None if has_checksum else "false")
    assert "spark.stage.maxConsecutiveAttempts" not in settings


def test_settings_of_the_user_stay_on_one_machine(tmp_path: Path) -> None:
    arguments = "--conf spark.shuffle.compress=true pyspark-shell"
    assert "spark.shuffle.compress" not in plan(tmp_path, arguments=arguments).settings


@pytest.mark.parametrize("version", HADOOP)
def test_the_versions_fit_the_installed_hadoop(tmp_path: Path, version: str) -> None:
    """The connector is of Spark's own Hadoop; of the SDK come modules only, no bundle."""
    planned = plan(tmp_path, S3_SOURCE, version)
    hadoop = HADOOP[version]
    assert f"org.apache.hadoop:hadoop-aws:{hadoop}" in packages(planned)
    others = [p for p in packages(planned) if "hadoop-aws" not in p]
    assert others
    assert all(p.endswith(f":{connectors.AWS_SDK[hadoop]}") for p in others)
    assert "bundle" in planned.settings["spark.jars.excludes"]


def test_an_unknown_hadoop_gets_the_whole_bundle(tmp_path: Path) -> None:
    """Which modules fit is not known, so what hadoop-aws depends on is fetched, and it is large."""
    here = connectors.Installed(spark="5.0", hadoop="3.9.9", jars=frozenset())
    connector = connectors.s3_connector(here)
    assert connector is not None
    assert connector.packages == ("org.apache.hadoop:hadoop-aws:3.9.9",)
    assert connector.excludes == ()
    assert connector.megabytes >= 500


@pytest.mark.parametrize("jar", ["hadoop-aws-3.5.0.jar", "emrfs-hadoop-assembly-2.60.0.jar"])
def test_a_connector_that_is_there_is_used(tmp_path: Path, jar: str) -> None:
    """No jar is fetched. Settings of S3A are added for S3A, and none for EMRFS."""
    planned = plan(tmp_path, S3_SOURCE, jars=(jar,))
    assert "spark.jars.packages" not in planned.settings
    assert ("spark.hadoop.fs.s3.impl" in planned.settings) == jar.startswith("hadoop-aws")


def test_on_a_cluster_nothing_is_added(tmp_path: Path) -> None:
    """EMR's own defaults name YARN and EMRFS; a config runs there unchanged."""
    for arguments in ("--master yarn pyspark-shell", "--remote sc://host pyspark-shell"):
        planned = plan(tmp_path, S3_SOURCE, arguments=arguments)
        assert "spark.jars.packages" not in planned.settings
        assert not [name for name in planned.settings if name.startswith("spark.hadoop")]


def test_the_users_lists_are_added_to(tmp_path: Path) -> None:
    """Packages, excludes and Java options of the user come first, and not twice."""
    (spark_home(tmp_path) / "conf").mkdir()
    (tmp_path / "spark" / "conf" / "spark-defaults.conf").write_text(
        "spark.jars.excludes a:b\nspark.driver.defaultJavaOptions -Dy=2\n"
        "spark.sql.extensions my.Extension\n"
    )
    arguments = "--packages my:own:1 --conf spark.x=1 pyspark-shell"
    sections = {**S3_SOURCE, "results": {"format": "delta", "path": "/out"}}
    planned = plan(tmp_path, sections, "4.1.4", arguments)
    assert packages(planned)[0] == "my:own:1"
    assert len(packages(planned)) > 3
    assert planned.settings["spark.jars.excludes"].startswith("a:b,software")
    assert planned.settings["spark.sql.extensions"].split(",")[0] == "my.Extension"
    options = planned.settings["spark.driver.defaultJavaOptions"].split()
    assert (options[0], options[-1]) == ("-Dx=1", "-Dy=2")
    # An argument would win over the session's own setting, so it is taken out.
    assert planned.environment["PYSPARK_SUBMIT_ARGS"] == "--conf spark.x=1 pyspark-shell"


def test_the_users_settings_stay(tmp_path: Path) -> None:
    """Whatever the user sets for S3A or Spark's own screen is not replaced."""
    mine = {
        "spark.ui.enabled": "true",
        "spark.hadoop.fs.s3.impl": "my.FileSystem",
        "spark.hadoop.fs.s3a.aws.credentials.provider": "my.Provider",
    }
    arguments = " ".join(f"--conf {name}={value}" for name, value in mine.items())
    planned = plan(tmp_path, S3_SOURCE, arguments=f"{arguments} pyspark-shell")
    assert not set(mine) & set(planned.settings)
    assert "-Daws.profile" not in planned.settings["spark.driver.defaultJavaOptions"]


def test_keys_of_the_user_turn_off_our_credentials(tmp_path: Path) -> None:
    """A user who sets fs.s3a.access.key wants these keys used, not those of boto3."""
    arguments = "--conf spark.hadoop.fs.s3a.access.key=AKIA pyspark-shell"
    planned = plan(tmp_path, S3_SOURCE, arguments=arguments)
    assert "spark.hadoop.fs.s3a.aws.credentials.provider" not in planned.settings


def test_no_secret_is_in_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spark's settings, Java's command line, its variables and files hold no credential."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hIdDeN")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAHIDDEN")
    for version in ("3.5.9", "4.3.0"):
        planned = plan(tmp_path / version, S3_SOURCE, version)
        written = [p.read_text() for p in (tmp_path / version).iterdir() if p.is_file()]
        assert written
        assert "hidden" not in f"{planned}{written}".lower()


@pytest.mark.parametrize(("version", "reads"), [("3.5.9", "environment"), ("4.3.0", "options")])
def test_the_credentials_are_those_of_boto3(tmp_path: Path, version: str, reads: str) -> None:
    """Both versions of the SDK run credential_process.py, as a profile says."""
    planned = plan(tmp_path, S3_SOURCE, version)
    provider = planned.settings["spark.hadoop.fs.s3a.aws.credentials.provider"]
    assert provider.endswith("ProfileCredentialsProvider")
    file = str(tmp_path / "aws-profile")
    options = planned.settings["spark.driver.defaultJavaOptions"]
    assert (f"-Daws.sharedCredentialsFile={file}" in options) == (reads == "options")
    variable = planned.environment.get("AWS_CREDENTIAL_PROFILES_FILE")
    assert (variable == file) == (reads == "environment")
    assert "credential_process.py" in Path(file).read_text()


def test_the_endpoint_of_boto3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint of the config or the environment is used, with paths as boto3 writes them."""
    prefix = "spark.hadoop.fs.s3a"
    assert f"{prefix}.endpoint" not in plan(tmp_path, S3_SOURCE).settings
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://all:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://s3:2")
    settings = plan(tmp_path, S3_SOURCE).settings
    assert settings[f"{prefix}.endpoint"] == "http://s3:2"
    assert settings[f"{prefix}.path.style.access"] == "true"
    assert settings[f"{prefix}.connection.ssl.enabled"] == "false"
    settings = plan(tmp_path, {**S3_SOURCE, "endpoint_url": "https://mine:3"}).settings
    assert settings[f"{prefix}.endpoint"] == "https://mine:3"
    assert f"{prefix}.connection.ssl.enabled" not in settings


@pytest.mark.parametrize(("version", "is_set"), [("3.5.9", False), ("4.1.4", True)])
def test_the_region_of_the_run(tmp_path: Path, version: str, is_set: bool) -> None:
    """The SDK 1 would sign for this Region alone, so S3A finds the Region of each bucket."""
    batch = {**config_values()["batch"], "region": "eu-west-3"}
    settings = plan(tmp_path, {**S3_SOURCE, "batch": batch}, version).settings
    assert (settings.get("spark.hadoop.fs.s3a.endpoint.region") == "eu-west-3") == is_set


@pytest.mark.parametrize("version", ["3.5.9", "4.1.4"])
@pytest.mark.parametrize(
    ("sections", "name"),
    [
        ({"source": {"format": "delta", "path": "/t", "key": ["id"]}}, "delta"),
        ({"source": {"sql": "SELECT * FROM Delta.`/t`"}}, "delta"),
        ({**LOCAL_SOURCE, "results": {"format": "iceberg", "table": "lake.a.b"}}, "iceberg"),
    ],
)
def test_table_formats_bring_their_jars(
    tmp_path: Path, version: str, sections: dict[str, Any], name: str
) -> None:
    """The jars are those of docs/lakehouse.md, which the tests read tables with."""
    planned = plan(tmp_path, sections, version)
    assert set(packages(planned)) < (packages_for(version) or set())
    assert name in planned.settings["spark.sql.extensions"]
    assert ("spark.sql.catalog.spark_catalog" in planned.settings) == (name == "delta")


def test_the_tables_of_the_page_are_those_of_the_code() -> None:
    """docs/lakehouse.md names the same packages for each version of Spark."""
    for version in connectors.DELTA:
        expected = {connectors.DELTA[version], connectors.ICEBERG[version]}
        assert packages_for(f"{version}.0") == expected


def test_a_catalog_of_the_user_brings_its_jars(tmp_path: Path) -> None:
    """A table in a catalog of Iceberg needs its jars, though the config does not say Iceberg."""
    arguments = "--conf spark.sql.catalog.lake=org.apache.iceberg.spark.SparkCatalog pyspark-shell"
    source = {"source": {"table": "lake.support.tickets", "key": ["id"]}}
    planned = plan(tmp_path, source, "4.1.4", arguments)
    assert "iceberg" in planned.settings["spark.jars.packages"]
    assert "spark.jars.packages" not in plan(tmp_path, LOCAL_SOURCE, "4.1.4", arguments).settings


@pytest.mark.parametrize(
    ("setting", "is_aws"),
    [
        ("type=glue", True),
        ("catalog-impl=org.apache.iceberg.aws.glue.GlueCatalog", True),
        ("io-impl=org.apache.iceberg.aws.s3.S3FileIO", True),
        ("rest.sigv4-enabled=true", True),
        ("type=hadoop", False),
        ("warehouse=/glue", False),
    ],
)
def test_a_catalog_in_aws_brings_icebergs_access_to_it(
    tmp_path: Path, setting: str, is_aws: bool
) -> None:
    """docs/lakehouse.md names the package. Jars of the user's own are trusted."""
    catalog = "--conf spark.sql.catalog.lake"
    arguments = f"{catalog}=org.apache.iceberg.spark.SparkCatalog {catalog}.{setting} pyspark-shell"
    source = {"source": {"table": "lake.support.tickets", "key": ["id"]}}
    added = packages(plan(tmp_path, source, "4.1.4", arguments))
    assert (connectors.ICEBERG_AWS in added) == is_aws
    assert connectors.ICEBERG_AWS in LAKEHOUSE.read_text("utf-8")
    own = f"--packages a:iceberg-aws-bundle:1 {arguments}"
    assert connectors.ICEBERG_AWS not in packages(plan(tmp_path, source, "4.1.4", own))


def test_a_format_without_a_release_is_refused(tmp_path: Path) -> None:
    """Before Java starts, with the versions of Spark to use; jars of the user's own are trusted."""
    source = {"source": {"format": "delta", "path": "/t", "key": ["id"]}}
    with pytest.raises(ConfigError, match=re.escape('pip install "pyspark>=4.1,<4.2"')):
        plan(tmp_path, source, "4.3.0")
    own = "--packages io.delta:delta-spark_4.3_2.13:5.0.0 pyspark-shell"
    assert "spark.jars.packages" not in plan(tmp_path, source, "4.3.0", own).settings


def test_what_was_fetched_before_is_not_announced(tmp_path: Path) -> None:
    """Ivy keeps the jars, so only the first session waits for them."""
    jars = tmp_path / "home" / ".ivy2.5.2" / "jars"
    jars.mkdir(parents=True)
    for package in packages(plan(tmp_path, S3_SOURCE)):
        (jars / "{}_{}-{}.jar".format(*package.split(":"))).touch()
    assert plan(tmp_path, S3_SOURCE).fetches == ()
