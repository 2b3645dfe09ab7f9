"""How a command ends: with the exit code of its work, with an error, or interrupted."""

from __future__ import annotations

from collections.abc import Callable

from bedrock_spark.cli.display import Display
from bedrock_spark.cli.interrupts import exit_code_of, interruptible
from bedrock_spark.cli.output import Output
from bedrock_spark.errors import BedrockSparkError


def run_to_end(
    work: Callable[[], int],
    display: Display,
    on_interrupt: Callable[[KeyboardInterrupt], int],
    at_once: Callable[[], None] = lambda: None,
    at_end: Callable[[], None] = lambda: None,
) -> int:
    """Return the exit code of `work`. A BedrockSparkError is shown, without a traceback.

    on_interrupt: says what is true after an interrupt, and returns the exit code
    at_once: is called in the signal handler; at_end: however the work ended
    An error that follows an interrupt is its consequence, and counts as the interrupt.
    """
    with interruptible(at_once) as received:
        try:
            return work()
        except BedrockSparkError as exc:
            if received.interrupt is not None:
                return on_interrupt(received.interrupt)
            return display.fail(exc)
        except KeyboardInterrupt as exc:
            return on_interrupt(exc)
        finally:
            at_end()


def run_command(work: Callable[[Display], int], output: Output) -> int:
    """Return the exit code of a command that leaves nothing behind if it is interrupted."""
    display = Display(output)
    output.begin_logging()
    return run_to_end(
        lambda: work(display),
        display,
        lambda interrupt: display.fail_with(exit_code_of(interrupt), "interrupted"),
    )
