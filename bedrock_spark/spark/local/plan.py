"""Plan a session of our own: the user's settings, and what the config and one machine need besides.

What is a list (packages, extensions, Java options) is added to the user's; anything else that the
user sets stays as it is. On a cluster nothing is added: what a config needs is installed there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config
from bedrock_spark.spark.local.connectors import (
    EXCLUDES,
    EXTENSIONS,
    PACKAGES,
    Connector,
    Installed,
    has_s3a,
    installed,
    lake_connectors,
    s3_connector,
    uses_s3,
)
from bedrock_spark.spark.local.one_machine import ATTEMPTS, one_machine_settings, own_java_options
from bedrock_spark.spark.local.s3a import (
    OWN_CREDENTIALS,
    Credentials,
    boto3_credentials,
    s3a_settings,
)
from bedrock_spark.spark.local.user_settings import UserSettings, read_user_settings

_JAVA_OPTIONS = "spark.driver.defaultJavaOptions"
# Where else options of Java may be.
_OTHER_JAVA_OPTIONS = "spark.driver.extraJavaOptions"
_JAVA_VARIABLES = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "SPARK_SUBMIT_OPTS")
_SUBMIT_ARGS = "PYSPARK_SUBMIT_ARGS"


@dataclass(frozen=True)
class SessionPlan:
    """How to start a session.

    settings: Spark's settings; environment: variables for the Java process
    fetches: what has to be fetched first, as a line each
    """

    settings: Mapping[str, str]
    environment: Mapping[str, str]
    fetches: tuple[str, ...] = ()


def plan_session(
    configs: Sequence[Config],
    environment: Mapping[str, str],
    *,
    spark_home: Path,
    folder: Path,
    java_options: Sequence[str] = (),
) -> SessionPlan:
    """Plan the session for some configs; for none, only what every session gets.

    folder: an existing folder for files that the session needs
    java_options: more options of Java
    Raises ConfigError if the config needs a connector that does not exist for this Spark.
    """
    user = read_user_settings(environment, spark_home)
    here = installed(spark_home, user, environment.get("SPARK_DIST_CLASSPATH", ""))
    connectors, credentials = [], Credentials({}, (), {})
    settings = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
    own = one_machine_settings(user.get("spark.master"), user.get(ATTEMPTS))
    if is_local(user) and own:
        settings |= own
        java_options = [*java_options, *_own_java_options(user, environment)]
    if configs and is_local(user):
        connectors = _connectors(configs, user, here)
        if uses_s3(configs, user) and (has_s3a(here) or any(c.is_s3 for c in connectors)):
            aws = AwsSettings(configs[0].batch.region, configs[0].endpoint_url)
            settings |= s3a_settings(aws, here.hadoop)
            if not any(user.get(name) for name in OWN_CREDENTIALS):
                credentials = boto3_credentials(here.hadoop, folder)
    for more in (credentials.settings, *(c.settings for c in connectors)):
        settings |= more
    settings = {name: value for name, value in settings.items() if user.get(name) is None}
    lists = _lists(user, connectors, [*java_options, *credentials.java_options])
    variables = dict(credentials.environment)
    if lists:
        variables[_SUBMIT_ARGS] = user.arguments_without(lists)
    fetches = tuple(
        f"fetches {c.name} from Maven Central: {c.megabytes} MB, once"
        for c in connectors
        if not _is_fetched(c, here, user)
    )
    return SessionPlan(settings | lists, variables, fetches)


def _own_java_options(user: UserSettings, environment: Mapping[str, str]) -> tuple[str, ...]:
    given = [user.get(name) for name in (_JAVA_OPTIONS, _OTHER_JAVA_OPTIONS)]
    return own_java_options([*given, *map(environment.get, _JAVA_VARIABLES)])


def _connectors(configs: Sequence[Config], user: UserSettings, here: Installed) -> list[Connector]:
    s3 = s3_connector(here) if uses_s3(configs, user) else None
    return [*lake_connectors(configs, user, here), *([s3] if s3 is not None else [])]


def _lists(
    user: UserSettings, connectors: Sequence[Connector], java_options: Sequence[str]
) -> dict[str, str]:
    """Return the settings that are lists: the user's elements, then those to add."""
    added = {
        PACKAGES: [package for c in connectors for package in c.packages],
        EXCLUDES: [pattern for c in connectors for pattern in c.excludes],
        EXTENSIONS: [extension for c in connectors for extension in c.extensions],
    }
    lists = {name: _joined(user.get(name), more) for name, more in added.items() if more}
    if java_options:
        quoted = [f'"{option}"' if " " in option else option for option in java_options]
        lists[_JAVA_OPTIONS] = " ".join([*quoted, user.get(_JAVA_OPTIONS) or ""]).strip()
    return lists


def is_local(user: UserSettings) -> bool:
    """Tell whether the session runs on this machine alone."""
    return (user.get("spark.master") or "local").startswith("local") and not user.get(
        "spark.remote"
    )


def _joined(first: str | None, more: Sequence[str]) -> str:
    """Add to a list in one text; what is in it already is not added again."""
    listed = [text.strip() for text in (first or "").split(",") if text.strip()]
    return ",".join([*listed, *(text for text in more if text not in listed)])


def _is_fetched(connector: Connector, here: Installed, user: UserSettings) -> bool:
    """Tell whether Spark's Ivy has the packages from an earlier session."""
    default = Path.home() / (".ivy2" if here.spark.startswith("3.") else ".ivy2.5.2")
    jars = Path(user.get("spark.jars.ivy") or default) / "jars"
    return all(
        (jars / "{}_{}-{}.jar".format(*package.split(":"))).exists()
        for package in connector.packages
    )
