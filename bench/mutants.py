"""Change one thing in a module that guards money or state, and see whether its tests notice.

    python bench/mutants.py [--sample 60] [--seed 1] [--module fanout/slots.py]

Mutation testing (https://en.wikipedia.org/wiki/Mutation_testing). A mutant swaps a comparison or an
`and`, negates a condition, shifts a number, or removes a call or a `raise`. Each one is tested in a
copy of the repository. A first run without a change notes which tests call which functions of the
module: a mutant in a function gets only those, first the ones that noticed other mutants of it,
then the quick ones (`mutation/order.py`). Most are tested in a fork of a session that has collected
the tests already (`mutation/session.py`). Prints the mutants that all tests of the module let pass,
with file and line: each needs a test, or a reason why it behaves as the original does.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.mutation.find import Mutant, find_mutants  # noqa: E402
from bench.mutation.testers import PACKAGE, copy_repository, survivors_of  # noqa: E402

# The modules, below the package, and the tests of each, below tests/unit.
MODULES: dict[str, tuple[str, ...]] = {
    "shards/record_ids.py": ("shards/test_record_ids.py",),
    "shards/plan.py": (
        "shards/test_plan.py",
        "shards/test_fill.py",
        "shards/test_row_bytes_bound.py",
    ),
    "aws/retry.py": ("aws/test_retry.py", "storage/test_conditional_writes.py"),
    "outputs/reconcile.py": ("outputs/test_reconcile.py", "outputs/test_claims.py"),
    "costs/budget.py": ("costs/test_budget.py",),
    "run_folder/lease.py": ("run_folder/test_lease.py",),
    "run_folder/ledger/ledger.py": ("run_folder/test_ledger.py",),
    "run_folder/ledger/state.py": ("run_folder/test_ledger.py", "fanout"),
    "run_folder/ledger/snapshots.py": ("run_folder/test_ledger.py",),
    "run_folder/ledger/objects.py": ("run_folder/test_ledger_objects.py",),
    "fanout/scheduler.py": (
        "fanout/test_scheduler.py",
        "fanout/test_targets.py",
        "fanout/test_late_output.py",
        "fanout/test_lost_calls.py",
        "fanout/test_killed.py",
    ),
    "fanout/tracker.py": ("fanout",),
    "fanout/slots.py": (
        "fanout/test_slots.py",
        "fanout/test_scheduler.py",
        "fanout/test_no_slots.py",
    ),
    "fanout/breaker.py": ("fanout/test_breaker_reason.py", "fanout/test_breaker.py"),
    "fanout/unlisted_jobs.py": ("fanout/test_unlisted_jobs.py", "fanout/test_late_output.py"),
    "fanout/remainder.py": ("fanout/test_remainder.py", "fanout/test_late_output.py"),
    "run_folder/claims.py": ("run_folder/test_claims.py",),
    "run_folder/purchases.py": ("run_folder/test_purchases.py", "fallback/test_provisioning.py"),
    "fallback/share.py": ("fallback/test_share.py",),
    "outputs/claims.py": ("outputs/test_claims.py",),
    "config/overlaps.py": ("config/test_overlaps.py",),
    "config/places.py": ("config/test_places.py", "config/test_overlaps.py"),
}
_PRELOADED = (
    "boto3", "botocore.session", "hypothesis", "moto", "msgspec", "numpy", "pyarrow.parquet",
    "pydantic", "pyspark.sql", "pytest", "tenacity", "xxhash", "yaml",
)  # fmt: skip


def _chosen(modules: list[str], sample: int, seed: int) -> dict[str, list[Mutant]]:
    """Return the mutants of a sample, by module; all of them if `sample` is 0."""
    mutants = [m for name in modules for m in find_mutants(name, _source(name))]
    if sample and sample < len(mutants):
        mutants = random.Random(seed).sample(mutants, sample)
    by_module: dict[str, list[Mutant]] = {name: [] for name in modules}
    for mutant in sorted(mutants, key=lambda mutant: mutant.line):
        by_module[mutant.module].append(mutant)
    return {name: chosen for name, chosen in by_module.items() if chosen}


def _source(module: str) -> bytes:
    return (ROOT / PACKAGE / module).read_bytes()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sample", type=int, default=60, help="how many mutants; 0 for all")
    parser.add_argument("--seed", type=int, default=1, help="seed of the sample")
    parser.add_argument("--module", action="append", choices=sorted(MODULES), help="only this one")
    options = parser.parse_args()
    mutants = _chosen(options.module or list(MODULES), options.sample, options.seed)
    for name in _PRELOADED:
        importlib.import_module(name)
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder, "copy")
        copy.mkdir()
        copy_repository(copy)
        for module, chosen in mutants.items():
            for mutant in survivors_of(module, chosen, MODULES[module], copy):
                survivors += 1
                shown = mutant.shown(_source(module))
                sys.stdout.write(f"{PACKAGE}/{module}:{mutant.line}: {shown}\n")
                sys.stdout.flush()
    tested = sum(map(len, mutants.values()))
    sys.stdout.write(f"{tested} mutants, {tested - survivors} killed, {survivors} survived\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
