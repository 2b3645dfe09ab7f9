"""Run probes side by side: each ends by itself or at its timeout, and none ends the others."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from bedrock_spark.doctor.asking import UnansweredError
from bedrock_spark.doctor.findings import Finding, error, unknown
from bedrock_spark.errors import BedrockSparkError, StorageUnavailableError

log = logging.getLogger(__name__)

# A call of boto3 gives up after three tries of 10 seconds each, and some probes make several.
SECONDS = 60.0


@dataclass(frozen=True)
class Probe:
    """A question about the world.

    subject: the group of its findings; name: what it checks, for the line if it cannot
    look: yields its findings; those before a failure count
    """

    subject: str
    name: str
    look: Callable[[], Iterable[Finding]]


def run_probes(probes: Sequence[Probe], seconds: float = SECONDS) -> Iterator[tuple[str, Finding]]:
    """Run probes at the same time; yield their findings with their subjects, in the given order.

    seconds: after which a probe that has not ended is left alone
    """
    running = [_Running(probe) for probe in probes]
    deadline = time.monotonic() + seconds
    for one in running:
        one.thread.join(max(0.0, deadline - time.monotonic()))
        yield from ((one.probe.subject, finding) for finding in one.findings(seconds))


@dataclass
class _Running:
    """A probe in a thread, which does not keep the process alive if it hangs."""

    probe: Probe
    _found: list[Finding] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True, name=self.probe.name)
        self.thread.start()

    def findings(self, seconds: float) -> list[Finding]:
        """Return what was found; if the probe still runs, a line says so."""
        found = list(self._found)
        if self.thread.is_alive():
            found.append(unknown(f"{self.probe.name}: no answer within {seconds:.0f} seconds"))
        return found

    def _run(self) -> None:
        try:
            for finding in self.probe.look():
                self._found.append(finding)
        except UnansweredError as exc:
            if not exc.is_told_elsewhere:
                self._found.append(unknown(f"{self.probe.name}: {exc.why}", exc.fix))
        except StorageUnavailableError as exc:  # the same call may succeed later
            self._found.append(unknown(f"{self.probe.name}: {_one_line(exc)}"))
        except BedrockSparkError as exc:
            self._found.append(error(_one_line(exc)))
        except Exception as exc:
            # A fault of the probe itself: the others are still worth their lines.
            log.info("the probe of %s failed", self.probe.name, exc_info=True)
            what = f"{self.probe.name}: the probe failed ({type(exc).__name__}); -v shows it"
            self._found.append(unknown(what))


def _one_line(exc: BedrockSparkError) -> str:
    return "; ".join(line.strip() for line in str(exc).splitlines() if line.strip())
