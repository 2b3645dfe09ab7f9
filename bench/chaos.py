"""Kill the processes of runs at random moments, carry the runs on, and check that nothing is lost.

    python bench/chaos.py [--seed 1] [--kills 20] [--spark-kills 0]

Each run asks a local Bedrock over HTTP. The service throttles, fails, loses replies, and its jobs
end in every way that is known. Commands of `bedrock-spark` die by SIGKILL before or after one of
their calls; sometimes two run at the same time, and their clocks are apart. Then the run is carried
on to its end, and the judge (chaos/judge.py) compares rows, answers, payments and leftovers with
those of an undisturbed run. A seed repeats all random choices; threads still take turns as they do.

Prints `N kills, 0 lost, 0 paid twice` and exits 0; or what is wrong, and exits 1.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.chaos.cycle import Story, Workshop, as_json
from bench.chaos.judge import LOST, PAID_TWICE
from bench.chaos.plan import KINDS
from bench.chaos.preload import ENDPOINT
from bench.chaos.source import FILES
from bench.chaos.spark_cycle import SPARK_NUMBERS, prepare_in_spark, run_in_spark
from bench.common.local_bedrock import use_local_credentials
from tests.forked_emulator import BedrockServer, ForkedBedrock

ROOT = Path(__file__).parents[1]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of all random choices")
    parser.add_argument("--kills", type=int, default=20, help="kills without Spark")
    parser.add_argument("--spark-kills", type=int, default=0, help="kills of Spark processes")
    parser.add_argument("--files", type=int, default=1, help="the most files of a shard")
    parser.add_argument("--run", type=int, help="repeat only this run without Spark")
    parser.add_argument("--spark-run", type=int, help="repeat only this run with Spark")
    parser.add_argument("--keep", action="store_true", help="keep the folder with all logs")
    parser.add_argument("--reuse", type=Path, help="take the prepared shards of this kept folder")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at a broken run")
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        choices=KINDS,
        help="leave out a kind of trouble; repeat it for more",
    )
    return parser.parse_args()


def stories(workshop: Workshop, options: argparse.Namespace) -> Iterator[Story]:
    """Run until there were enough kills; yield the story of each run."""
    expected = workshop.undisturbed()
    kills = 0
    for number in _numbers(options):
        if options.run is None and kills >= options.kills:
            break
        story = workshop.run(options.seed, number, expected, options.kills - kills)
        kills += story.kills
        yield story
    kills = 0
    for number in _spark_numbers(options):
        # A process may end before its kill is due.
        if options.spark_run is None and kills >= options.spark_kills:
            break
        story = run_in_spark(workshop, options.seed, number, expected)
        kills += story.kills
        yield story


def _numbers(options: argparse.Namespace) -> Iterable[int]:
    """Return the numbers of the runs without Spark: one, or as many as are asked for."""
    if options.spark_run is not None:
        return ()
    return count(1) if options.run is None else (options.run,)


def _spark_numbers(options: argparse.Namespace) -> Iterable[int]:
    """Return the numbers of the runs with Spark: one, or as many as are asked for."""
    if options.spark_run is not None:
        return (options.spark_run,)
    return count(1) if options.run is None else ()


def tell(story: Story, seed: int) -> None:
    """Say on standard error how a run ended."""
    state = "broken" if story.faults else "ok"
    number = story.plan.number
    is_spark = number > SPARK_NUMBERS
    name = f"spark-run {number - SPARK_NUMBERS}" if is_spark else f"run {number}"
    sys.stderr.write(f"{name}: {story.kills} kills, {state}\n")
    if story.faults:
        sys.stderr.write(f"  repeat it with --seed {seed} --{name}\n")
        for step in story.steps:
            sys.stderr.write(f"    {step}\n")
        for fault in story.faults:
            sys.stderr.write(f"  {fault}\n")
    sys.stderr.flush()


def _services(temporary: Path) -> BedrockServer:
    """Start the fork server of the local Bedrocks, whose temporary files are in a folder."""
    temporary.mkdir()
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(temporary)
    try:
        return BedrockServer()
    finally:
        del os.environ["TMPDIR"]
        if before is not None:
            os.environ["TMPDIR"] = before


def main() -> int:
    options = arguments()
    if options.reuse is not None:
        options.reuse = options.reuse.absolute()
    use_local_credentials()
    os.environ[FILES] = str(options.files)
    os.chdir(ROOT)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    server = _services(folder / "services")
    began, told = time.monotonic(), []
    try:
        with ForkedBedrock(server, faults=None) as first:
            os.environ[ENDPOINT] = first.endpoint_url  # all others have the same address
        workshop = Workshop(server, folder, options.without)
        if options.reuse is None:
            prepare_in_spark(workshop)
        else:
            workshop.copy_prepared(options.reuse)
        for story in stories(workshop, options):
            told.append(story)
            tell(story, options.seed)
            if story.faults and not options.keep_going:
                break
    finally:
        server.close()
        (folder / "stories.json").write_text(json.dumps([as_json(s) for s in told], indent=1))
        if options.keep:
            sys.stderr.write(f"kept: {folder}\n")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    faults = [fault for story in told for fault in story.faults]
    lost, twice = (sum(f.count for f in faults if f.kind == kind) for kind in (LOST, PAID_TWICE))
    kills = sum(story.kills for story in told)
    more = f", {len(faults)} faults" if faults else ""
    seconds = time.monotonic() - began
    sys.stdout.write(f"{kills} kills, {lost} lost, {twice} paid twice{more}\n")
    sys.stderr.write(f"seed {options.seed}, {seconds:.0f} s\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
