"""Compare a stage with other programs on the same data, in turns, so that load slows all alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common.break_even import Line, rows_to_win
from common.cpu import cpu_seconds
from common.figures import report
from common.prepared import seconds

ROUNDS = 5
OURS = "ours"
_TIMES_THE_CORES = (2, 4, 8, 16)

Programs = dict[str, Callable[[], object]]


@dataclass(frozen=True)
class Rounds:
    """The seconds and the CPU seconds of each program, by its name; one item for each round."""

    seconds: dict[str, list[float]]
    cpu: dict[str, list[float]]

    @classmethod
    def of(cls, programs: Programs, rounds: int = ROUNDS) -> Rounds:
        """Run the programs in turns."""
        taken = cls({name: [] for name in programs}, {name: [] for name in programs})
        for _ in range(rounds):
            for name, work in programs.items():
                cpu = cpu_seconds(lambda work=work, name=name: taken._time(name, work))
                taken.cpu[name].append(cpu)
        return taken

    def _time(self, name: str, work: Callable[[], object]) -> None:
        self.seconds[name].append(seconds(work))

    def median(self, name: str) -> float:
        """Return the median of a program's seconds."""
        return statistics.median(self.seconds[name])


def versus(
    stage: str, goal: float, programs: Programs, by_spark: str | None = None, **detail: Any
) -> Rounds:
    """Report the median ratio of our seconds to those of each other program; return all rounds.

    by_spark: our program as it runs on a cluster, if that is another one: reported, too
    """
    rounds = Rounds.of(programs)
    own = {OURS: stage} | ({by_spark: f"{stage}_by_spark"} if by_spark else {})
    for ours, figure in own.items():
        for name in (name for name in programs if name not in own):
            report(
                f"{figure}_vs_{name}",
                _ratio(rounds.seconds, ours, name),
                "ratio",
                goal,
                "lower",
                **detail,
                cpu_ratio=round(_ratio(rounds.cpu, ours, name), 3),
                **{f"{n}_seconds": _rounded(rounds.seconds[n]) for n in (ours, name)},
                **{f"{n}_cpu_seconds": _rounded(rounds.cpu[n]) for n in (ours, name)},
            )
    return rounds


def report_break_even(
    stage: str, rows: tuple[int, int], few: Rounds, many: Rounds, by_spark: str = OURS
) -> None:
    """Report for each peer how many times its cores ours needs to take no longer for a row.

    by_spark: our program as it runs on a cluster
    """
    lines = {
        name: Line.through(rows, (few.median(name), many.median(name))) for name in many.seconds
    }
    ours = lines[by_spark]
    for name, peer in lines.items():
        if name not in (OURS, by_spark):
            report(
                f"{stage}_cores_to_match_{name}",
                ours.per_row / peer.per_row,
                "times the cores",
                None,
                "lower",
                rows=rows,
                rows_to_win={n: rows_to_win(ours, peer, n) for n in _TIMES_THE_CORES},
                start_seconds=[round(line.start, 2) for line in (ours, peer)],
            )


def _ratio(taken: dict[str, list[float]], ours: str, peer: str) -> float:
    return statistics.median(a / b for a, b in zip(taken[ours], taken[peer], strict=True))


def _rounded(values: list[float]) -> list[float]:
    return [round(value, 2) for value in values]
