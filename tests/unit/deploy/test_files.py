"""What is true for the files of all targets."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from bedrock_spark.check import check_config
from bedrock_spark.deploy import DeployedFile, option_faults, plan_deployment, write_files
from bedrock_spark.errors import AlreadyExistsError, ConfigError
from tests.unit.deploy.kit import BY_NAME, CONFIGS, plan_of, texts_of, values_of
from tests.unit.fakes import config_values

ALL = [(target, config) for target in BY_NAME for config in CONFIGS]


@pytest.mark.parametrize(("target", "config"), ALL)
def test_scripts_and_programs_can_be_read(target: str, config: str, tmp_path: Path) -> None:
    """By bash and by Python; nothing of a template is left, and no credential is in any file."""
    _, plan = plan_of(target, config)
    paths = write_files(tmp_path, plan.files, replace=False)
    for path in paths:
        text = path.read_text()
        assert not re.search(r"AKIA|SecretAccessKey|aws_secret|\{%", text)
        if path.suffix == ".py":
            compile(text, path.name, "exec")
        if path.suffix == ".sh":
            assert path.stat().st_mode & 0o111
            checked = subprocess.run(["bash", "-n", str(path)], capture_output=True, check=False)
            assert (checked.returncode, checked.stderr) == (0, b"")


_AWS = """#!/bin/bash
echo "$2" >> calls
failures=$(grep -c "$2" calls)
case $2 in
    create-cluster) echo j-1 ;;
    describe-cluster) [ "$failures" -gt {failures} ] && echo TERMINATED ;;
    list-steps) [ "$failures" -gt 1 ] && echo {state} ;;
esac
"""


@pytest.mark.parametrize(
    ("failures", "state", "code", "pauses"),
    [
        (0, "COMPLETED", 0, [1]),
        (4, "COMPLETED", 0, [1, 2, 4, 8, 1]),
        (4, "FAILED", 1, [1, 2, 4, 8, 1]),
        (99, "COMPLETED", 1, [2**n for n in range(9)]),
    ],
)
def test_the_wait_for_a_cluster_outlives_failed_calls(
    tmp_path: Path, failures: int, state: str, code: int, pauses: list[int]
) -> None:
    """They are repeated with longer and longer pauses. A cluster is started only once."""
    _, plan = plan_of("emr", "plain")
    write_files(tmp_path, plan.files, replace=False)
    for name, text in (
        ("aws", _AWS.format(failures=failures, state=state)),
        ("sleep", '#!/bin/bash\necho "$1" >> pauses\n'),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    command = ["bash", str(tmp_path / "create-cluster.sh"), "steps-prepare.json"]
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        command, cwd=tmp_path, env=path, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert [int(line) for line in (tmp_path / "pauses").read_text().split()] == pauses
    assert (tmp_path / "calls").read_text().split().count("create-cluster") == 1
    assert ("cannot tell how cluster j-1 ends" in done.stderr) == (failures == 99)


@pytest.mark.parametrize("config", CONFIGS)
def test_the_config_is_the_same(config: str, tmp_path: Path) -> None:
    """Also with overrides, and with a schema that is in a file of its own."""
    context, plan = plan_of("emr", config)
    (tmp_path / "config.yaml").write_text(texts_of(plan)["config.yaml"], encoding="utf-8")
    assert check_config(tmp_path / "config.yaml") == context.deployment.config


def test_an_edited_file_is_not_replaced(tmp_path: Path) -> None:
    """Nothing is written, and the error shows what differs. --force replaces."""
    first = [DeployedFile("a.json", "one\ntwo\n"), DeployedFile("jobs/b.sh", "x\n", True)]
    write_files(tmp_path, first, replace=False)
    write_files(tmp_path, first, replace=False)  # the same again
    (tmp_path / "a.json").write_text("one\nedited\n")
    new = [DeployedFile("new.txt", "n\n"), *first]
    with pytest.raises(AlreadyExistsError, match=r"(?s)a\.json: would be.*--force.*-edited\n\+two"):
        write_files(tmp_path, new, replace=False)
    assert not (tmp_path / "new.txt").exists()
    write_files(tmp_path, new, replace=True)
    assert (tmp_path / "a.json").read_text() == "one\ntwo\n"


FAULTS = [
    ({"run_uri": "/tmp/run"}, "run_uri = '/tmp/run': is a folder of this machine"),
    ({"source": {"key": ["id"]}}, "source: names no path, table, sql or run"),
    ({"source": {"path": "tickets.csv", "key": ["id"]}}, "source.path = 'tickets.csv': is a path"),
    ({"results": {"path": "/tmp/out"}}, "results.path = '/tmp/out': is a path of this machine"),
    ({"batch": {"region": None}}, "batch.region: is not set"),
    ({"endpoint_url": "http://127.0.0.1:4566"}, "endpoint_url = .*: is a service of this machine"),
]


@pytest.mark.parametrize(("sections", "fault"), FAULTS)
def test_what_a_cluster_cannot_use_is_an_error(sections: dict[str, object], fault: str) -> None:
    values = config_values(**{**CONFIGS["plain"], **sections})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=fault):
        plan_deployment(check_config(values), has_file_system=False)


def test_all_faults_are_named_at_once() -> None:
    """Of the config and of the options."""
    values = config_values("/tmp/run", results={"path": "out"}, endpoint_url="http://localhost:1")
    with pytest.raises(ConfigError) as raised:
        plan_deployment(
            check_config(values), has_file_system=False, name="ä", spark=("spark.a=b c",)
        )
    assert len(str(raised.value).splitlines()) == 6


def test_a_path_of_a_shared_file_system_is_none_of_this_machine() -> None:
    """/data is in HDFS for EMR, and a mount for Databricks; a path that exists here is not."""
    source = {"format": "parquet", "path": "/no-such-folder/tickets", "key": ["id"]}
    config = check_config(config_values(source=source))
    assert plan_deployment(config, has_file_system=True).config == config
    with pytest.raises(ConfigError):
        plan_deployment(config, has_file_system=False)


@pytest.mark.parametrize("target", BY_NAME)
def test_options_are_checked(target: str) -> None:
    """Each example and default is right; all that are missing are named."""
    options = BY_NAME[target].options
    assert option_faults(options, values_of(BY_NAME[target])) == []
    required = [option for option in options if option.is_required]
    faults = option_faults(options, {})
    assert len(faults) == len(required)
    assert all(f"--{o.name} is missing" in f for o, f in zip(required, faults, strict=True))
    for option in options:
        if not option.is_flag and option.pattern != r"\S+":
            wrong = {**values_of(BY_NAME[target]), option.key: " \n"}
            assert len(option_faults(options, wrong)) == 1, option.name


def test_a_variable_with_a_secret_is_named_and_not_written() -> None:
    for target in BY_NAME:
        _, plan = plan_of(target, "secret")
        assert any("TICKETS_PASSWORD" in note for note in plan.notes), target
        config = yaml.safe_load(texts_of(plan)["config.yaml"])
        assert config["source"]["options"]["password"] == {"env": "TICKETS_PASSWORD"}
