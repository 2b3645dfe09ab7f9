"""Drawing a chart changes nothing for the rest of the process."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys, warnings
from importlib import metadata
before = list(sys.meta_path)
import bedrock_spark.page
assert "pygal" not in sys.modules
from bedrock_spark.page.charts import histogram
assert "<svg" in histogram("lengths", ["1", "2"], [3, 4])
assert "pygal" in sys.modules
added = [type(finder).__module__ for finder in sys.meta_path if finder not in before]
assert not [name for name in added if name.startswith("pygal")], added
assert metadata.version("boto3") and metadata.version("pygal")
warnings.simplefilter("error")
try:
    import no_module_of_this_name
except ImportError:
    print("done")
"""


def test_pygal_is_imported_late_and_leaves_no_finder() -> None:
    """Its finder would make each failed import of the process warn."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
