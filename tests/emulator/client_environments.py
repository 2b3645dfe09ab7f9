"""Virtual environments with real clients, made when they are first asked for.

    python tests/emulator/client_environments.py [awscli] [airflow]

They lie in the repository's root as `.venv-client-<name>` (200 MB and 400 MB) and are kept.
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
    """Return the `bin` folder of a client's environment, which is made if it is not there."""
    home = _ROOT / f".venv-client-{name}"
    done = home / "complete"
    binaries = home / "bin"
    if not done.exists():
        venv.create(home, with_pip=True, clear=True)
        install = [str(binaries / "python"), "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, *REQUIREMENTS[name]], check=True)
        done.touch()
    return binaries


if __name__ == "__main__":
    for asked in sys.argv[1:] or list(REQUIREMENTS):
        sys.stdout.write(f"{environment(asked)}\n")
