"""Virtual environments with real clients, created when a test first needs them.

    python tests/emulator/client_environments.py [awscli] [airflow]

They are folders `.venv-client-<name>` in the repository's root (200 MB and 400 MB). Later runs use
them again.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

_ROOT = Path(__file__).parents[2]
REQUIREMENTS = {
    "awscli": ["awscli>=1.42"],
    "airflow": ["apache-airflow>=3.0", "apache-airflow-providers-amazon>=9.6"],
}


def environment(name: str) -> Path:
    """Return the `bin` folder of a client's environment; create the environment if needed."""
    home = _ROOT / f".venv-client-{name}"
    complete = home / "complete"
    binaries = home / "bin"
    if not complete.exists():
        venv.create(home, with_pip=True, clear=True)
        install = [str(binaries / "python"), "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, *REQUIREMENTS[name]], check=True)
        complete.touch()
    return binaries


if __name__ == "__main__":
    for client in sys.argv[1:] or list(REQUIREMENTS):
        sys.stdout.write(f"{environment(client)}\n")
