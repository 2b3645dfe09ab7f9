"""The scripts behind `make`: they find or install Java and Python, and prevent access to AWS.

Each runs with a PATH of its own. Its java, python, apt-get and sudo are small shell scripts that
behave as the test needs, and note their calls.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"
TOOLS = [
    *("awk", "cat", "chmod", "cksum", "cp", "date", "dirname", "env"),
    *("head", "mkdir", "mktemp", "rm", "sed", "sh", "tail", "true"),
]


class Machine:
    """A machine whose PATH has only a few tools, and the executables that a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.jvms = folder / "jvms"
        self.calls_file = folder / "calls"
        self.work = folder / "a repository"
        for path in (self.bin, self.jvms, self.work):
            path.mkdir()
        for tool in TOOLS:
            (self.bin / tool).symlink_to(str(shutil.which(tool)))
        self.env = {
            "PATH": str(self.bin),
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "JAVA_SEARCH_PATH": str(self.jvms),
            "CALLS": str(self.calls_file),
        }
        self.put("id", "echo 0")

    def put(self, name: str, body: str, folder: Path | None = None) -> Path:
        """Put an executable on the PATH (or into a folder) that runs a few lines of shell."""
        path = (folder or self.bin) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    def put_java(self, home: str, version: str, body: str = "") -> Path:
        """Install a Java in the folder of Javas; return its home."""
        path = self.jvms / home
        banner = f"""echo 'openjdk version "{version}" 2025-04-15' >&2"""
        self.put("java", f"{body}\n{banner}", path / "bin")
        return path

    def run(self, script: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", str(SCRIPTS / script), *arguments],
            cwd=self.work,
            env=self.env | env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def only_line(done: subprocess.CompletedProcess[str]) -> str:
    """Check that a script failed with only one line, on standard error; return that line."""
    assert done.returncode != 0
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


# Java


@pytest.mark.parametrize("version", ["17", "17.0.15", "21", "21.0.1", "22.0.2", "25-ea", "25.0.3"])
def test_java_17_or_newer_is_accepted(machine: Machine, version: str) -> None:
    home = machine.put_java("some-java", version)
    done = machine.run("java.sh")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{home}\n", "")


@pytest.mark.parametrize("version", ["1.8.0_392", "9-internal", "11", "11.0.2", "16.0.1"])
def test_java_older_than_17_is_refused_and_named(machine: Machine, version: str) -> None:
    home = machine.put_java("some-java", version)
    line = only_line(machine.run("java.sh"))
    major = version.removeprefix("1.").partition(".")[0].partition("-")[0]
    assert f"{home}/bin/java is Java {major}." in line
    assert "Java 17 or newer" in line


def test_java_too_new_for_the_spark_at_hand_is_refused(machine: Machine) -> None:
    """Spark 3.5 runs on 21 at most."""
    machine.put_java("java-25", "25.0.3")
    assert "Java 17 to 21" in only_line(machine.run("java.sh", "21"))
    home = machine.put_java("java-9-by-name-21-by-nature", "21.0.1")
    assert machine.run("java.sh", "21").stdout == f"{home}\n"


def test_an_old_java_home_does_not_hide_a_good_java_on_the_path(machine: Machine) -> None:
    old = machine.put_java("old", "1.8.0_392")
    good = machine.put_java("good", "17.0.15")
    done = machine.run("java.sh", JAVA_HOME=str(old), PATH=f"{good}/bin:{machine.bin}")
    assert done.stdout == f"{good}\n"


def test_a_suitable_java_home_comes_first(machine: Machine) -> None:
    machine.put_java("a-17", "17.0.15")
    chosen = machine.put_java("z-25", "25.0.3")
    assert machine.run("java.sh", JAVA_HOME=str(chosen)).stdout == f"{chosen}\n"


def test_a_version_that_spark_supports_is_preferred(machine: Machine) -> None:
    """Java 19 is new enough, but Spark supports 17, 21 and 25."""
    machine.put_java("a-19", "19.0.2")
    supported = machine.put_java("b-21", "21.0.1")
    assert machine.run("java.sh").stdout == f"{supported}\n"


def test_the_home_of_a_java_is_the_one_that_it_reports(machine: Machine) -> None:
    """A java on the PATH may be a link, or a shim of a version manager."""
    home = machine.put_java("real", "17.0.15")
    machine.put("java", f'echo "    java.home = {home}" >&2; exec "{home}/bin/java" "$@"')
    machine.env["JAVA_SEARCH_PATH"] = "/nonexistent"
    assert machine.run("java.sh").stdout == f"{home}\n"


def test_a_stub_without_java_behind_it_is_skipped(machine: Machine) -> None:
    """MacOS has a /usr/bin/java that only prints that there is no Java."""
    machine.put("java", "echo 'The operation could not be completed.' >&2; exit 1")
    home = machine.put_java("jdk/Contents/Home", "17.0.15")
    assert machine.run("java.sh").stdout == f"{home}\n"


def test_options_that_java_prints_do_not_hide_its_version(machine: Machine) -> None:
    home = machine.put_java("j", "17.0.15", "echo 'Picked up JAVA_TOOL_OPTIONS: -Xmx1g' >&2")
    assert machine.run("java.sh").stdout == f"{home}\n"


def test_a_java_without_the_module_spark_needs_is_skipped(machine: Machine) -> None:
    """Spark 4 starts with --add-modules=jdk.incubator.vector; a Java from jlink may lack it."""
    machine.put_java("a", "17.0.15", 'case "$*" in *incubator*) exit 1 ;; esac')
    whole = machine.put_java("b", "17.0.15")
    assert machine.run("java.sh").stdout == f"{whole}\n"


def test_without_java_and_package_manager_one_line_says_what_to_install(machine: Machine) -> None:
    line = only_line(machine.run("java.sh"))
    for words in ("Java 17 or newer", "openjdk-17-jre-headless", "brew install", "JAVA_HOME"):
        assert words in line


def put_apt_get(machine: Machine, package: str) -> None:
    """Install an apt-get that has one package, which installs a Java."""
    home = machine.jvms / "from-apt"
    machine.put(
        "apt-get",
        f"""echo "apt-get $*" >>"$CALLS"
case "$*" in
    update) ;;
    *{package})
        mkdir -p '{home}/bin'
        printf '%s\\n' '#!/bin/sh' 'echo "openjdk version \\"21.0.1\\"" >&2' >'{home}/bin/java'
        chmod +x '{home}/bin/java' ;;
    *) echo "E: Unable to locate package" >&2; exit 100 ;;
esac""",
    )


def test_a_missing_java_is_installed(machine: Machine) -> None:
    """Package lists are fetched first. If there is no package of Java 17, that of 21 is tried."""
    put_apt_get(machine, package="openjdk-21-jre-headless")
    done = machine.run("java.sh")
    assert done.stdout == f"{machine.jvms}/from-apt\n"
    assert "installing openjdk-21-jre-headless with apt-get" in done.stderr
    assert [call.split()[1] for call in machine.calls()] == ["update", "install", "install"]
    assert machine.calls()[1].endswith("openjdk-17-jre-headless")


def test_a_user_who_is_not_root_installs_through_sudo_without_a_prompt(machine: Machine) -> None:
    machine.put("id", "echo 1000")
    machine.put("sudo", 'echo "sudo $*" >>"$CALLS"; [ "$1" = -n ] && shift && exec "$@"')
    put_apt_get(machine, package="openjdk-17-jre-headless")
    assert machine.run("java.sh").stdout == f"{machine.jvms}/from-apt\n"
    assert "sudo -n apt-get update" in machine.calls()


def test_a_sudo_that_asks_for_a_password_ends_in_one_line(machine: Machine) -> None:
    machine.put("id", "echo 1000")
    machine.put("sudo", "echo 'sudo: a password is required' >&2; exit 1")
    put_apt_get(machine, package="openjdk-17-jre-headless")
    line = only_line(machine.run("java.sh"))
    assert "sudo asks for a password" in line
    assert machine.calls() == []


def test_the_error_of_an_installer_is_quoted(machine: Machine) -> None:
    put_apt_get(machine, package="nothing")
    done = machine.run("java.sh")
    assert done.returncode != 0
    assert "Unable to locate package" in done.stderr.splitlines()[-1]


# Python and the virtual environment

FAKE_PYTHON = """echo "python $*" >>"$CALLS"
case "$*" in
    *sys.executable*) echo "$0" ;;
    *ensurepip*) exit ${NO_ENSUREPIP:-0} ;;
    *sys.version_info\\[:2\\]*) echo 3.11 ;;
    --version) echo Python 3.11.9 ;;
    *'-m venv'*) for last; do :; done; mkdir -p "$last/bin" && cp "$0" "$last/bin/python" ;;
    *'pip install'*) exit ${PIP_STATUS:-0} ;;
esac"""


@pytest.fixture
def project(machine: Machine) -> Machine:
    """A machine with a suitable Python, in a folder with a pyproject.toml."""
    machine.put("python3", FAKE_PYTHON)
    (machine.work / "pyproject.toml").write_text("[project]\n")
    return machine


def pip_calls(machine: Machine) -> int:
    return sum("pip install" in call for call in machine.calls())


def test_a_python_too_old_is_skipped(project: Machine) -> None:
    """An old Python prints nothing, because the check of the version runs in it."""
    project.put("python3.13", "exit 0")
    done = project.run("python.sh", "python3.13", "python3")
    assert done.stdout == f"{project.bin}/python3\n"


def test_the_users_own_choice_of_python_comes_first(project: Machine) -> None:
    chosen = project.put("my python", FAKE_PYTHON)
    assert project.run("python.sh", PYTHON=str(chosen)).stdout == f"{chosen}\n"


def test_without_a_python_one_line_says_so(machine: Machine) -> None:
    machine.put("python3", "exit 0")
    line = only_line(machine.run("python.sh"))
    assert "Python 3.11 or newer" in line
    assert "set PYTHON" in line


def test_for_debians_python_without_venv_the_error_names_the_package(project: Machine) -> None:
    line = only_line(project.run("python.sh", NO_ENSUREPIP="1"))
    assert "python3.11-venv" in line
    assert only_line(project.run("venv.sh", ".venv", "-e", ".", NO_ENSUREPIP="1")) == line


def test_an_environment_is_created_once(project: Machine) -> None:
    first = project.run("venv.sh", ".venv", "-e", ".[dev]")
    assert first.returncode == 0, first.stderr
    assert [line.split()[0] for line in first.stderr.splitlines()] == [
        "Creating",
        "Installing",
        "Installed",
    ]
    before = project.calls()
    again = project.run("venv.sh", ".venv", "-e", ".[dev]")
    assert (again.returncode, again.stderr) == (0, "")
    assert project.calls() == before


def test_a_changed_pyproject_or_requirement_installs_again(project: Machine) -> None:
    project.run("venv.sh", ".venv", "-e", ".")
    (project.work / "pyproject.toml").write_text("[project]\ndependencies = []\n")
    project.run("venv.sh", ".venv", "-e", ".")
    assert pip_calls(project) == 2
    project.run("venv.sh", ".venv", "-e", ".", "pyspark<4")
    assert pip_calls(project) == 3
    assert sum("-m venv" in call for call in project.calls()) == 1


def test_a_failed_install_is_repeated(project: Machine) -> None:
    """Even if pyproject.toml is that of the last good install, which may be half overwritten."""
    assert project.run("venv.sh", ".venv", "-e", ".").returncode == 0
    assert project.run("venv.sh", ".venv", "-e", ".", "new", PIP_STATUS="1").returncode != 0
    assert project.run("venv.sh", ".venv", "-e", ".").returncode == 0
    assert pip_calls(project) == 3


# The environment of commands


def printed_environment(machine: Machine, **env: str) -> dict[str, str]:
    """Run `env` through with-spark.sh, in this test's own virtual environment."""
    home = machine.put_java("some-java", "17.0.15")
    program = "import json, os; print(json.dumps(dict(os.environ)))"
    done = machine.run(
        "with-spark.sh", sys.prefix, "python", "-c", program, JAVA_HOME=str(home), **env
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_commands_cannot_reach_aws_with_the_users_credentials(machine: Machine) -> None:
    """Keys, profile, role, Bedrock API key and endpoint are all removed."""
    users = {
        "AWS_PROFILE": "production",
        "AWS_ACCESS_KEY_ID": "AKIAREAL",
        "AWS_SESSION_TOKEN": "real",
        "AWS_BEARER_TOKEN_BEDROCK": "real",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/real",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://real",
        "AWS_ENDPOINT_URL": "https://real",
    }
    seen = {k: v for k, v in printed_environment(machine, **users).items() if k.startswith("AWS_")}
    assert seen == {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def test_commands_use_their_own_spark_java_and_python(machine: Machine) -> None:
    seen = printed_environment(
        machine,
        SPARK_HOME="/opt/another-spark",
        PYSPARK_PYTHON="/usr/bin/another-python",
        PYTHONPATH="/opt/another-spark/python",
        HADOOP_CONF_DIR="/etc/hadoop",
        SPARK_LOCAL_DIRS="/fast",
    )
    assert seen["SPARK_HOME"].startswith(str(Path(sys.prefix).resolve()))
    assert seen["PYSPARK_PYTHON"] == str(Path(sys.prefix) / "bin" / "python")
    assert seen["JAVA_HOME"] == str(machine.jvms / "some-java")
    assert "PYTHONPATH" not in seen
    assert "HADOOP_CONF_DIR" not in seen
    assert seen["SPARK_LOCAL_DIRS"] == "/fast"


def test_the_local_bedrock_is_not_reached_through_a_proxy(machine: Machine) -> None:
    seen = printed_environment(machine, NO_PROXY="corp.example", HTTPS_PROXY="http://proxy")
    assert seen["NO_PROXY"] == "127.0.0.1,localhost,corp.example"
    assert seen["HTTPS_PROXY"] == "http://proxy"


# The Makefile


def test_make_without_a_target_lists_every_target_with_its_description() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = {line.split()[1] for line in done.stdout.splitlines() if len(line.split()) > 3}
    promised = "install demo test test-lowest lint format types bench dist ci clean distclean"
    assert set(promised.split()) <= listed


def test_a_chromium_that_is_there_is_used(machine: Machine) -> None:
    """The one that the user names first."""
    machine.put("google-chrome", "")
    own = machine.put("own", "", machine.jvms)
    assert machine.run("chromium.sh").stdout.strip() == str(machine.bin / "google-chrome")
    assert machine.run("chromium.sh", CHROMIUM=str(own)).stdout.strip() == str(own)


def test_chromium_is_installed_by_the_package_manager(machine: Machine) -> None:
    install = f'[ "$1" = install ] && cp "$0" "{machine.bin}/chromium"; echo "$*" >> "$CALLS"'
    machine.put("apt-get", install)
    assert machine.run("chromium.sh").stdout.strip() == str(machine.bin / "chromium")
    assert machine.calls() == [
        "update",
        "install -y --no-install-recommends chromium fonts-dejavu-core",
    ]


def test_without_a_chromium_the_script_says_why(machine: Machine) -> None:
    """And prints no path, so the tests are skipped."""
    done = machine.run("chromium.sh")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Installing it failed: no package manager was found" in done.stderr
