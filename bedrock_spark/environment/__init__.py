"""What a cluster gets: an archive with all packages for `--archives`, and a zip for `--py-files`.

The archive is made with pip alone, for any Python version and architecture, on any machine: wheels
are unpacked, not built. It holds the packages and no Python: its `bin/python` is a launcher that
finds the Python of the machine where it runs. So it holds no path of the machine that made it,
unlike an archive of venv-pack, whose `bin/python` is a link to such a path.
"""

from bedrock_spark.environment.archive import Built, build_environment
from bedrock_spark.environment.py_files import build_py_files

__all__ = ["Built", "build_environment", "build_py_files"]
