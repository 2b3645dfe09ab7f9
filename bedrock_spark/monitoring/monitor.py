"""Writes the metrics of a run while its command is at work, and tells how the command ended.

Nothing that goes wrong here changes the run: a failure is one warning.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bedrock_spark.clock import Clock
from bedrock_spark.monitoring.emf import as_line, write_line
from bedrock_spark.monitoring.hooks import notify
from bedrock_spark.monitoring.lineage import Lineage
from bedrock_spark.monitoring.prometheus import as_text, write_text
from bedrock_spark.monitoring.samples import (
    RUNNING,
    Sample,
    samples_of_progress,
    samples_of_report,
    samples_of_state,
)
from bedrock_spark.progress import Observer, Progress
from bedrock_spark.report import Report
from bedrock_spark.run_folder.run import Run

log = logging.getLogger(__name__)

# How often each place gets metrics, unless a command ends: Prometheus scrapes every 15 to 60
# seconds; CloudWatch has a resolution of a minute, and bills each line.
_TEXT_SECONDS, _EMF_SECONDS = 10.0, 60.0


@dataclass
class Monitor:
    """The metrics and hooks of one command. Any thread may observe.

    run: returns the run as it is now
    """

    run: Callable[[], Run]
    clock: Clock
    _lineage: Lineage = field(init=False)
    _samples: dict[tuple[str, ...], Sample] = field(default_factory=dict)
    _written_at: dict[str, float] = field(default_factory=dict)
    _failed: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._lineage = Lineage(self.run, self.clock)

    def observing(self, observe: Observer) -> Observer:
        """Return an observer that writes metrics, too, and tells that the run was begun.

        It is `observe` itself if neither is configured.
        """
        self._lineage.check()
        with_lineage = self._with_lineage(observe) if self._lineage.is_on else observe
        return self._with_metrics(with_lineage)

    def _with_lineage(self, observe: Observer) -> Observer:
        def observe_both(progress: Progress) -> None:
            observe(progress)
            self._lineage.started()

        return observe_both

    def _with_metrics(self, observe: Observer) -> Observer:
        metrics = self.run().config.metrics
        if metrics.textfile_folder is None and metrics.emf is None:
            return observe

        def observe_both(progress: Progress) -> None:
            observe(progress)
            with self._lock:
                self._forget_stage(progress.stage)
                self._take(samples_of_progress(progress))
                self._write(RUNNING, is_end=False)

        return observe_both

    def end(self, report: Report) -> None:
        """Write the last metrics of a command, and tell how it ended, as the config says."""
        metrics = self.run().config.metrics
        if metrics.textfile_folder is not None or metrics.emf is not None:
            with self._lock:
                self._take(samples_of_report(report))
                self._write(report.state, is_end=True)
        if self._lineage.is_on:
            self._lineage.ended(report)
        notify(self.run(), report, self.clock.now())

    def _forget_stage(self, stage: str) -> None:
        """Forget what a stage had: it may count in another unit now, or have no total yet."""
        for key, sample in tuple(self._samples.items()):
            if sample.labels.get("stage") == stage:
                del self._samples[key]

    def _take(self, samples: Iterable[Sample]) -> None:
        for sample in samples:
            key = sample.name, *(part for pair in sorted(sample.labels.items()) for part in pair)
            self._samples[key] = sample

    def _write(self, state: str, *, is_end: bool) -> None:
        run, now = self.run(), self.clock.now()
        config = run.config.metrics
        model = {"model": run.config.model.id}
        samples = [*self._samples.values(), *samples_of_state(state)]
        if config.textfile_folder is not None and (is_end or self._is_due("text", now)):
            folder = config.textfile_folder
            labels = {"run_id": run.run_id, **model, **config.labels}
            text = as_text([*samples, Sample("updated_timestamp_seconds", now)], labels)
            self._try("metrics.textfile_folder", lambda: write_text(folder, run.run_id, text))
        if config.emf is not None and (is_end or self._is_due("emf", now)):
            place = config.emf
            properties = {"run_id": run.run_id, "run_uri": run.config.run_uri, "state": state}
            line = as_line(samples, config.namespace, {**model, **config.labels}, properties, now)
            self._try("metrics.emf", lambda: write_line(place, line))

    def _is_due(self, kind: str, now: float) -> bool:
        seconds = {"text": _TEXT_SECONDS, "emf": _EMF_SECONDS}[kind]
        last = self._written_at.get(kind)
        # A clock that was set back makes no pause.
        is_due = last is None or not 0 <= now - last < seconds
        if is_due:
            self._written_at[kind] = now
        return is_due

    def _try(self, key: str, write: Callable[[], None]) -> None:
        try:
            write()
            self._failed.discard(key)
        except OSError as exc:
            if key not in self._failed:
                self._failed.add(key)
                log.warning("%s: metrics are not written: %s", key, exc)
