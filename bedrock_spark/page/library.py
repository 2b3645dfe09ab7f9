"""Pygal, which draws the charts, as it is wanted here: imported late, and without its import hook.

Pygal adds a finder to `sys.meta_path` for packages of maps. It has no `find_spec`, so each failed
import of the process would warn of it (an ImportWarning until Python 3.11).
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any


@cache
def pygal() -> Any:
    """Return the module `pygal`, whose `style` is imported, too."""
    import pygal as library  # most commands draw no chart
    import pygal.style

    # Only that finder: importlib_metadata, which Pygal imports, needs its own.
    sys.meta_path[:] = [f for f in sys.meta_path if type(f).__module__.split(".")[0] != "pygal"]
    return library
