"""Use the flex tier as long as it serves in time.

Flex costs about half of the default tier and is best effort: a call may take longer, or be refused
at busy times (https://aws.amazon.com/bedrock/service-tiers/). A call moves on to the default tier
only after an error that is repeated anyway, so that no answer is paid for twice because of the
tiers.

- One record: after 3 refusals at busy times, after a reply that did not come, or 2 minutes after
  its first call, its further calls are at the default tier.
- All records of a task: after 8 refusals in a row, without an answer in between, flex is left
  alone for 5 minutes, in the manner of a circuit breaker
  (https://en.wikipedia.org/wiki/Circuit_breaker_design_pattern). Half an hour before the deadline,
  it is not used any more.
- A model without flex says so in its first reply. Then flex is over.
- Any other refusal, while flex has not answered any call, may be about the tier, too: a policy may
  deny it, and the service may word a refusal in a new way. A refused call costs nothing. So the
  same call is made at the default tier; if that answers it, flex is over.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from bedrock_spark.clock import Clock
from bedrock_spark.errors import (
    InvokeError,
    InvokeRecordError,
    InvokeRefusedError,
    InvokeThrottledError,
    ServiceTierError,
)

# One record: how often it may meet a busy tier, and how long it may wait for it in all.
BUSY_CALLS, WAIT_SECONDS = 3, 120.0
# All records: how many refusals in a row pause the tier, and for how long. After a pause, two
# refusals are enough for the next one.
BUSY_IN_A_ROW, PAUSE_SECONDS, _AFTER_PAUSE = 8, 300.0, 2
DEADLINE_SECONDS = 1_800.0
_UNAVAILABLE = "ServiceUnavailableException"


@dataclass
class FlexWait:
    """How long one record has tried the tier.

    begun_at: when it was asked first
    doubt: the code of a refusal that may be about the tier; None if there was none
    """

    begun_at: float
    busy: int = 0
    is_over: bool = False
    doubt: str | None = None


@dataclass
class FlexTier:
    """Decides for each call whether it goes to the flex tier. Safe to use from many threads.

    until: no call starts after this time, in seconds since the epoch; None for no limit
    refusal: what the service says of a model without flex; None while it has not said so
    """

    clock: Clock
    until: float | None = None
    refusal: str | None = None
    _has_answered: bool = False
    _busy_in_a_row: int = 0
    _paused_until: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def takes(self, wait: FlexWait) -> bool:
        """Tell whether the next call for a record goes to the flex tier."""
        now = self.clock.now()
        is_late = self.until is not None and now > self.until - DEADLINE_SECONDS
        has_waited = wait.is_over or wait.busy >= BUSY_CALLS or now > wait.begun_at + WAIT_SECONDS
        with self._lock:
            is_open = self.refusal is None and now >= self._paused_until
        return is_open and not is_late and not has_waited

    def is_refused_by(self, error: InvokeError, wait: FlexWait) -> bool:
        """Tell whether an error may say that the call has no flex tier; note it then."""
        with self._lock:
            if isinstance(error, ServiceTierError):
                self.refusal = str(error)
                return True
            is_refusal = isinstance(error, (InvokeRecordError, InvokeRefusedError))
            if not is_refusal or self._has_answered:
                return False
        # The message is not kept: that of a record's error may quote the body.
        wait.is_over, wait.doubt = True, error.error_type or "a refusal without a code"
        return True

    def noted(self, error: InvokeError, wait: FlexWait) -> InvokeError:
        """Note the error of a call at the flex tier, and return the error that it counts as.

        A tier that is unavailable is one that is busy: such a call uses up no attempt.
        """
        is_unavailable = error.error_type == _UNAVAILABLE
        if not is_unavailable and not isinstance(error, InvokeThrottledError):
            wait.is_over = True
            return error
        wait.busy += 1
        with self._lock:
            self._busy_in_a_row += 1
            if self._busy_in_a_row >= BUSY_IN_A_ROW:
                self._paused_until = self.clock.now() + PAUSE_SECONDS
                self._busy_in_a_row = BUSY_IN_A_ROW - _AFTER_PAUSE
        if not is_unavailable:
            return error
        return InvokeThrottledError(
            str(error),
            error_code=error.error_code,
            error_type=error.error_type,
            retry_after=error.retry_after,
        )

    def note_answer(self) -> None:
        """Note that the tier has answered a call."""
        with self._lock:
            self._has_answered = True
            self._busy_in_a_row = 0

    def note_default_answer(self, wait: FlexWait) -> None:
        """Note that the default tier has answered a call. If flex refused the same one, it is over.

        Calls that flex answered meanwhile show that it serves others.
        """
        if wait.doubt is None:
            return
        with self._lock:
            if self.refusal is None and not self._has_answered:
                self.refusal = wait.doubt
