"""Refuse the models of a run that cannot be used, before anything is paid for.

Once something was paid, nothing is refused: its answers are collected, and bought units deleted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from bedrock_spark.clock import Clock
from bedrock_spark.errors import ModelUnavailableError
from bedrock_spark.fallback.rounds import delete_leftover_throughput
from bedrock_spark.model_check import (
    UsedModel,
    ask_models,
    faults_of,
    notices_of,
    refuse_unusable,
)
from bedrock_spark.report import Reporter
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.purchases import open_purchase
from bedrock_spark.run_folder.run import Run

log = logging.getLogger(__name__)


@dataclass
class RunModels:
    """What the service says of the models of a run. It is asked once.

    run: returns the run as it is now
    reporter: its reports name the models, once the service was asked
    used: what the service said; None before
    """

    run: Callable[[], Run]
    clock: Clock
    reporter: Reporter
    used: tuple[UsedModel, ...] | None = None

    def check(self) -> None:
        """Refuse models that cannot be used, unless the run has paid for something already.

        Calls and jobs that follow are refused by the service itself. Raises ModelUnavailableError.
        """
        faults = faults_of(self._ask(), self.clock.now())
        if faults and not self._has_paid():
            refuse_unusable(faults, self.run().config)

    def check_fallback(self) -> None:
        """Raise ModelUnavailableError if the fallback's model cannot be used.

        Units of it that a dead process bought are deleted first: they bill by the hour.
        """
        faults = faults_of(self._ask(), self.clock.now(), "fallback.")
        try:
            refuse_unusable(faults, self.run().config)
        except ModelUnavailableError:
            delete_leftover_throughput(self.run(), self.clock)
            raise

    def _ask(self) -> tuple[UsedModel, ...]:
        """Return what the service says; say once which of the models end soon."""
        if self.used is None:
            self.used = ask_models(self.run())
            self.reporter.models = [model.as_json() for model in self.used]
            for notice in notices_of(self.used, self.clock.now()):
                log.warning("%s", notice)
        return self.used

    def _has_paid(self) -> bool:
        """Tell whether there are jobs, answers of the fallback, or units that may bill."""
        storage = self.run().storage
        has_answers = any(storage.scan(f"{layout.FALLBACK}/"))
        return bool(Ledger(storage).replay()) or has_answers or open_purchase(storage) is not None
