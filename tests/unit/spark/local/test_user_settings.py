"""The user's own settings are read as Spark reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedrock_spark.spark.local.user_settings import read_user_settings


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--packages a:b:1 pyspark-shell", {"spark.jars.packages": "a:b:1"}),
        ("--packages=a:b:1 pyspark-shell", {"spark.jars.packages": "a:b:1"}),
        ("--conf spark.x=1=2 pyspark-shell", {"spark.x": "1=2"}),
        ("-c spark.x='a b' pyspark-shell", {"spark.x": "a b"}),
        ("--conf=spark.x=1 pyspark-shell", {"spark.x": "1"}),
        ("--conf spark.x=1 --conf spark.x=2 pyspark-shell", {"spark.x": "2"}),
        ("--master local[2] --verbose pyspark-shell", {"spark.master": "local[2]"}),
        ("pyspark-shell", {}),
    ],
)
def test_arguments(tmp_path: Path, arguments: str, expected: dict[str, str]) -> None:
    """Options of spark-submit are settings; the last one wins."""
    user = read_user_settings({"PYSPARK_SUBMIT_ARGS": arguments}, tmp_path)
    assert user.settings == expected


def test_the_defaults_file(tmp_path: Path) -> None:
    """It is read as a properties file; arguments and variables come before it."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "spark-defaults.conf").write_text(
        "# a comment\n\nspark.a   1\nspark.b=2 3 \nspark.c: http://x:1\nspark.master yarn\n"
    )
    user = read_user_settings({"PYSPARK_SUBMIT_ARGS": "--conf spark.a=9 pyspark-shell"}, tmp_path)
    assert user.settings == {
        "spark.a": "9",
        "spark.b": "2 3",
        "spark.c": "http://x:1",
        "spark.master": "yarn",
    }


def test_other_places_of_the_defaults_file(tmp_path: Path) -> None:
    """SPARK_CONF_DIR names another folder, and --properties-file another file."""
    (tmp_path / "spark-defaults.conf").write_text("spark.a 1\n")
    (tmp_path / "mine").write_text("spark.a 2\n")
    variables = {"SPARK_CONF_DIR": str(tmp_path)}
    assert read_user_settings(variables, tmp_path / "home").get("spark.a") == "1"
    variables["PYSPARK_SUBMIT_ARGS"] = f"--properties-file {tmp_path / 'mine'} pyspark-shell"
    assert read_user_settings(variables, tmp_path / "home").get("spark.a") == "2"


def test_arguments_can_be_taken_out(tmp_path: Path) -> None:
    """What sets one of the given settings goes; everything else stays as it is."""
    arguments = "--packages a:b:1 --conf spark.x=1 --conf 'spark.y=a b' -v pyspark-shell"
    user = read_user_settings({"PYSPARK_SUBMIT_ARGS": arguments}, tmp_path)
    kept = user.arguments_without(["spark.jars.packages", "spark.x"])
    assert kept == "--conf 'spark.y=a b' -v pyspark-shell"
