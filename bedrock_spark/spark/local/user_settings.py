"""The user's own settings of Spark, as Spark itself will read them when Java starts.

In Spark's order, the last wins: the defaults file, then the arguments in PYSPARK_SUBMIT_ARGS
(https://spark.apache.org/docs/latest/configuration.html). PySpark puts a session's own settings
before those arguments. So if a setting of ours is added to one of the user's, the user's argument
has to be taken out: `arguments_without` does that.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

# The options of spark-submit that are settings by another name.
_OPTIONS = {
    "--master": "spark.master",
    "--packages": "spark.jars.packages",
    "--exclude-packages": "spark.jars.excludes",
    "--jars": "spark.jars",
    "--driver-class-path": "spark.driver.extraClassPath",
    "--driver-java-options": "spark.driver.extraJavaOptions",
    "--remote": "spark.remote",
}
_CONF = ("--conf", "-c")
_PROPERTIES = "--properties-file"
# A line of a properties file: the name ends at a space, a colon or an equals sign.
_LINE = re.compile(r"\s*([^#!\s:=][^\s:=]*)\s*[\s:=]\s*(.*?)\s*")


@dataclass(frozen=True)
class UserSettings:
    """Settings by name, and the arguments in PYSPARK_SUBMIT_ARGS that some come from."""

    settings: Mapping[str, str]
    arguments: tuple[str, ...]

    def get(self, name: str) -> str | None:
        return self.settings.get(name)

    def arguments_without(self, names: Iterable[str]) -> str:
        """Return PYSPARK_SUBMIT_ARGS without the arguments that set one of these settings."""
        dropped = set(names)
        kept = [words for words, (name, _) in _parsed(self.arguments) if name not in dropped]
        return shlex.join(word for words in kept for word in words)


def read_user_settings(environment: Mapping[str, str], spark_home: Path) -> UserSettings:
    """Read the defaults file and the environment.

    spark_home: where Spark is installed, with the folder `conf` unless SPARK_CONF_DIR names another
    """
    arguments = tuple(shlex.split(environment.get("PYSPARK_SUBMIT_ARGS", "pyspark-shell")))
    parsed = [setting for _, setting in _parsed(arguments)]
    folder = environment.get("SPARK_CONF_DIR")
    file = (Path(folder) if folder else spark_home / "conf") / "spark-defaults.conf"
    for name, value in parsed:
        if name == _PROPERTIES:
            file = Path(value)
    settings = _read_properties(file)
    if environment.get("MASTER"):
        settings.setdefault("spark.master", environment["MASTER"])
    if environment.get("SPARK_REMOTE"):
        settings["spark.remote"] = environment["SPARK_REMOTE"]
    settings.update((name, value) for name, value in parsed if name.startswith("spark."))
    return UserSettings(settings, arguments)


def _parsed(arguments: tuple[str, ...]) -> list[tuple[list[str], tuple[str, str]]]:
    """Return the words of each argument with the setting that it is; ("", "") if it is none."""
    found: list[tuple[list[str], tuple[str, str]]] = []
    words = list(arguments)
    while words:
        word = words.pop(0)
        option, has_value, value = word.partition("=")
        used = [word]
        if option not in (*_CONF, *_OPTIONS, _PROPERTIES):
            found.append((used, ("", "")))
            continue
        if not has_value and words:
            value = words.pop(0)
            used.append(value)
        if option in _CONF:
            name, _, value = value.partition("=")
        else:
            name = _OPTIONS.get(option, option)
        found.append((used, (name.strip(), value.strip())))
    return found


def _read_properties(file: Path) -> dict[str, str]:
    try:
        lines = file.read_text("utf-8").splitlines()
    except OSError:
        return {}
    matches = (_LINE.fullmatch(line) for line in lines)
    return {match[1]: match[2] for match in matches if match is not None}
