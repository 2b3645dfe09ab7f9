"""A config at work: some rows of its source, asked again and again while its prompt changes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.clock import Clock, EndableClock
from bedrock_spark.config import Config
from bedrock_spark.config.row_choice import RowChoice
from bedrock_spark.errors import BedrockSparkError, ConfigError
from bedrock_spark.preview.asking import ask_sides
from bedrock_spark.preview.draft import Draft, Fields
from bedrock_spark.preview.edits import Edits
from bedrock_spark.preview.history import Asked, History
from bedrock_spark.preview.memory import AnswerMemory
from bedrock_spark.preview.options import PreviewOptions
from bedrock_spark.preview.rows import PreviewRows, use_rows
from bedrock_spark.preview.sides import side_of
from bedrock_spark.preview.summary import notes_of, whole_of_side
from bedrock_spark.preview.values import AnsweredRow, Whole
from bedrock_spark.preview.view import View, estimate_of, find_answers, view_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Returns a session for a config.
OpenSpark = Callable[[Config], "SparkSession"]


@dataclass
class Bench:
    """One config and its rows. Safe for the threads of a server.

    edits: the changes of the config, which may be older than this and live longer
    aws: the Region and the endpoint, if the config names none
    asks_service: whether the service may count the tokens of requests, which is free
    memory: the answers that were paid for, which several configs may share
    error: why the rows or the changes cannot be shown
    reason: why Spark reads the rows; None if it does not
    """

    edits: Edits
    aws: AwsSettings
    clock: Clock
    open_spark: OpenSpark
    asks_service: bool
    memory: AnswerMemory
    view: View | None = None
    error: BedrockSparkError | None = None
    reason: str | None = None
    history: History = field(default_factory=History)
    whole: Whole | None = None
    _worker: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="rows")
    )
    _work: Future[None] = field(init=False)
    _asking: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)
    _changing: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Begin to read the rows."""
        edits = self.edits
        self._begin()
        if edits.typed != edits.draft.fields:
            try:
                _changed(edits.draft, edits.typed)
            except BedrockSparkError as exc:
                self.error = exc

    @property
    def is_reading(self) -> bool:
        """Tell whether the rows are being read or rendered."""
        return not self._work.done()

    @property
    def is_asking(self) -> bool:
        """Tell whether rows are being asked."""
        return self._asking.locked()

    def wait(self, seconds: float) -> bool:
        """Wait until the rows are there; return whether they are, or cannot be.

        Raises what is no error of this package, and what nobody expected.
        """
        try:
            self._work.result(seconds)
        except TimeoutError:
            return False
        return True

    def choose(self, choice: RowChoice) -> None:
        """Read other rows. The answers of the ones before are remembered, and not shown."""
        with self._changing:
            if choice != self.edits.choice:
                self._refuse_while_asking()
                self.edits.choice, self.view, self.history = choice, None, History()
                self.whole = None
                self._begin()

    def change(self, fields: Fields) -> None:
        """Change the config. Raises ConfigError for a change that is not valid; it is kept, too."""
        with self._changing:
            self._refuse_while_asking()
            edits = self.edits
            edits.typed, self.error = fields, None
            try:
                draft = _changed(edits.draft, fields)
            except BedrockSparkError as exc:
                self.error = exc
                raise
            if draft != edits.draft:
                self.whole = None
            edits.take(draft)
            self._begin()

    def reset(self) -> None:
        """Take the config as its file is now."""
        with self._changing:
            self._refuse_while_asking()
            self.edits.reset()
            self._begin()

    def _refuse_while_asking(self) -> None:
        if self.is_asking:
            raise ConfigError("rows are being asked; wait for them, or stop them first")

    def _begin(self) -> None:
        self.error = None
        self._work = self._worker.submit(self._read)

    def _read(self) -> None:
        try:
            self.view = self._viewed()
        except BedrockSparkError as exc:
            self.error = exc

    def _viewed(self) -> View:
        """Render the rows by the config of now; read them first, unless they are there."""
        draft, choice = self.edits.draft, self.edits.choice
        config = draft.checked()
        if config.endpoint_url is None and self.aws.endpoint_url is not None:
            config = config.model_copy(update={"endpoint_url": self.aws.endpoint_url})
        if config.batch.region is None and self.aws.region is not None:
            batch = config.batch.model_copy(update={"region": self.aws.region})
            config = config.model_copy(update={"batch": batch})
        side = side_of(self.edits.name, config, self.clock)

        def render(rows: PreviewRows) -> None:
            side.rendered = rows.rendered(side.config)

        def spark(reason: str) -> SparkSession:
            self.reason = reason
            return self.open_spark(config)

        before = self.view
        if before is not None and before.choice == choice and _renders(before.rows, render):
            rows = before.rows
        else:
            self.reason = None
            rows = use_rows(side.config, side.aws, choice, render, spark)
        return view_of(
            *(draft, side, rows, choice, self.memory, self.clock.now()),
            asks_service=self.asks_service,
        )

    def stop(self) -> None:
        """Ask no further row, and repeat no call. Running calls end, and their answers are kept."""
        self._stop.set()

    def ask(
        self,
        on_row: Callable[[AnsweredRow], None],
        numbers: frozenset[int] | None = None,
        *,
        seen: str,
        again: bool = False,
        max_cost: Decimal,
    ) -> None:
        """Ask rows, and call `on_row` with each as it is answered. Returns when all are.

        It also returns when `stop` was called, and the running calls have ended.

        numbers: of the rows; None for all
        seen: the digest of the view that the person sees who agrees to pay
        again: pay also for requests whose answers are known
        max_cost: dollars; a row that may exceed them is not asked
        Raises ConfigError if rows are being asked, if there are none, if they are others than those
        seen, or if the memory is full; BudgetError; and InvokeRefusedError if the model would
        answer no row.
        """
        view = self._begin_asking(seen)
        try:
            self._ask(view, on_row, numbers, again=again, max_cost=max_cost)
        finally:
            try:
                self.view = view.with_answers(self.memory, self.clock.now())
            finally:
                self._asking.release()

    def _begin_asking(self, seen: str) -> View:
        """Return the view whose rows are asked; until the asking ends, nothing changes it."""
        with self._changing:
            view = self.view
            if view is None or self.error is not None or self.is_reading:
                raise ConfigError("there are no rows to ask yet, or the config is not valid")
            self.refuse_unseen(seen)
            self.memory.refuse_if_full()
            if not self._asking.acquire(blocking=False):
                raise ConfigError("rows are being asked; wait for them, or stop them first")
            self._stop.clear()
            return view

    def refuse_unseen(self, seen: str) -> None:
        """Raise ConfigError if the rows, their requests or prices are not those that were seen."""
        if self.view is not None and self.view.digest != seen:
            raise ConfigError(
                "the rows or the config were changed elsewhere since this page was loaded, such as "
                "in another tab, and nothing was asked: load the page again to see what is asked "
                "now, and its price"
            )

    def _ask(
        self,
        view: View,
        on_row: Callable[[AnsweredRow], None],
        numbers: frozenset[int] | None,
        *,
        again: bool,
        max_cost: Decimal,
    ) -> None:
        side = replace(view.side, wanted=numbers, answered={}, kept={})
        if not again:
            find_answers(side, self.memory, self.clock.now())
        estimate_of(side, view.bounds)
        options = PreviewOptions(max_cost=max_cost, limit_name="the limit")

        def note(_: int, row: AnsweredRow) -> None:
            self.edits.note(row)
            self.history.note(Asked(view.request_of(row.number), row))
            on_row(row)

        keeping = self.memory.with_keeper
        clock = EndableClock(self.clock, self._stop)
        ask_sides([side], options, clock, note, keeping, self._stop.is_set)
        self.whole = self._whole_of(view)

    def is_current(self, number: int) -> bool:
        """Tell whether the last answer of a row is one to the request of now."""
        asked = self.history.last(number)
        if asked is None or self.view is None:
            return False
        return asked.request == self.view.request_of(number)

    def notes(self) -> list[str]:
        """Return what the prices and the sum of the whole leave out."""
        view = self.view
        if view is None:
            return []
        options = PreviewOptions(limit_name="the limit", named="these rows")
        return list(notes_of(view.side, options, view.again, self.whole))

    def _whole_of(self, view: View) -> Whole | None:
        """Return what the whole source costs, by all answers to the requests of now."""
        last = (self.history.last(n) for n in range(1, len(view.side.rendered) + 1))
        rows = [a.answer for a in last if a is not None and self.is_current(a.answer.number)]
        paid = [row for row in rows if row.shares is None]
        return whole_of_side(view.side, view.rows, paid)


def _changed(draft: Draft, fields: Fields) -> Draft:
    """Return a config with other texts in its fields. Raises ConfigError if it is not valid."""
    changed = draft.with_fields(fields)
    changed.checked()
    return changed


def _renders(rows: PreviewRows, render: Callable[[PreviewRows], None]) -> bool:
    """Render rows that were read; return False if only Spark reads a column as a run does."""
    from bedrock_spark.spark.by_arrow.needs_spark import NeedsSparkError

    try:
        render(rows)
    except NeedsSparkError:
        return False
    return True
