"""Stand-ins for the machines of a cluster: Linux namespaces give each its own disk and processes.

A host has a mount namespace, in which the disks of the others and this checkout are empty; a PID
namespace, so that no process can look up one of another host; and a host name of its own. All hosts
share the network: each has an address of the loopback interface.
https://man7.org/linux/man-pages/man7/namespaces.7.html
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.cluster.processes import Process, start
from tests.modules import ROOT

_UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--uts", "--kill-child")
# Names the host, in /etc/hosts too; shows SPARK_HOME at another path, if asked to; hides folders;
# starts the command.
_SCRIPT = """
set -e
hostname "$1"; mount --bind "$2" /etc/hosts; shift 2
if [ "$1" != - ]; then mkdir -p "$2"; mount --bind "$1" "$2"; fi; shift 2
while [ "$1" != -- ]; do mount -t tmpfs none "$1"; shift; done; shift
exec "$@"
"""


@cache
def isolation() -> tuple[str, ...] | None:
    """Return the command that starts another in own namespaces; None if this is not allowed."""
    if shutil.which("unshare") is None:
        return None
    for options in ((), ("--user", "--map-root-user")):
        command = (*_UNSHARE, *options)
        script = "hostname host-0 && mount -t tmpfs none /mnt"
        tried = subprocess.run(
            [*command, "sh", "-c", script], capture_output=True, timeout=60, check=False
        )
        if tried.returncode == 0:
            return command
    return None


@dataclass(frozen=True)
class Host:
    """A machine of the cluster.

    folder: its local disk
    hidden: folders that it does not have, such as the disks of other hosts
    spark_home: where Spark is installed, on this machine
    has_checkout: whether it has this repository and the environment that runs the tests
    """

    name: str
    address: str
    folder: Path
    spark_home: Path
    hidden: Sequence[Path] = ()
    has_checkout: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """Where Spark is installed, as the host sees it."""
        if self.has_checkout or isolation() is None:
            return self.spark_home
        return self.folder / "spark"

    def run(
        self, name: str, command: Sequence[str], variables: Mapping[str, str] | None = None
    ) -> Process:
        """Start a command on this host; its output is in `<name>.log` of the folder.

        Of the variables of this process it has JAVA_HOME only.
        """
        for folder in (self.folder, self.folder / "tmp"):
            folder.mkdir(parents=True, exist_ok=True)
        wrapped = list(command)
        unshare = isolation()
        if unshare is not None:
            hidden = [*self.hidden] if self.has_checkout else [*self.hidden, *_checkout()]
            bound = ["-", "-"] if self.has_checkout else [str(self.spark_home), str(self.home)]
            existing = [str(path) for path in hidden if path.exists()]
            names = self.folder / "hosts"
            names.write_text(f"127.0.0.1 localhost\n{self.address} {self.name}\n")
            wrapped = [*unshare, "sh", "-c", _SCRIPT, "sh", self.name, str(names), *bound,
                       *existing, "--", *command]  # fmt: skip
        return start(
            wrapped, self.environment() | dict(variables or {}), self._log(name), self.folder
        )

    def environment(self) -> dict[str, str]:
        """Return the variables of each process of this host."""
        java = os.environ["JAVA_HOME"]
        python = Path(getattr(sys, "_base_executable", sys.executable)).parent
        return {
            "PATH": f"{java}/bin:{python}:/usr/local/bin:/usr/bin:/bin",
            "JAVA_HOME": java,
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder / "tmp"),
            "LANG": "C.UTF-8",
            "SPARK_HOME": str(self.home),
            "SPARK_LOCAL_IP": self.address,
            "SPARK_LOCAL_DIRS": str(self.folder / "tmp"),
            "SPARK_NO_DAEMONIZE": "1",
            **self.variables,
        }

    def _log(self, name: str) -> Path:
        number, log = 0, self.folder / f"{name}.log"
        while log.exists():
            number += 1
            log = self.folder / f"{name}-{number}.log"
        return log


def _checkout() -> list[Path]:
    """Return the folders of this repository and of the environment that runs the tests."""
    environment = Path(sys.prefix)
    # A folder in a hidden one is hidden with it, and cannot be hidden again.
    return [ROOT] if environment.is_relative_to(ROOT) else [ROOT, environment]
