"""List the model ids that this repository uses and whose end is near: `make models`.

    python scripts/models.py [DAYS]     DAYS: how near, 90 unless given

Exit code 1 if an id that users read in the README, the docs, the demo or the benchmarks ends within
DAYS. The ids and their ends are in `tests/models.py`.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.models import ENDS, LOOKED_UP, ids_for_tests, ids_for_users


def main(days: int) -> int:
    """Print a line for each id that ends within `days`, and one that says how old the list is."""
    today = datetime.now(UTC).date()
    ends = {model_id: end for model_id, end in ENDS.items() if end is not None}
    soon = {m: end for m, end in ends.items() if (end - today).days <= days}
    used = ids_for_users()
    in_tests = {m: files for m, files in ids_for_tests().items() if m not in used}
    lines = []
    for readers, files in (("for users", used), ("in tests only", in_tests)):
        for model_id in sorted(files.keys() & soon, key=lambda m: (soon[m], m)):
            left = (soon[model_id] - today).days
            when = f"ends in {left} days" if left > 0 else f"ended {-left} days ago"
            where = ", ".join(sorted(files[model_id]))
            lines.append(f"{soon[model_id]}  {model_id}: {when}; {readers}: {where}")
    age = (today - LOOKED_UP).days
    lines.append(f"{len(used)} model ids for users; ends as of {LOOKED_UP}, {age} days ago")
    sys.stdout.write("\n".join(lines) + "\n")
    return int(bool(used.keys() & soon))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 90))
