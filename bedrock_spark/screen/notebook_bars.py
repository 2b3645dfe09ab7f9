"""Progress as bars in a notebook: one small table of HTML, which is changed where it stands.

It needs what every notebook has: an output of an id, whose content can be replaced. Jupyter,
JupyterLab and VS Code replace it anywhere; Databricks replaces it in the cell that runs, which is
ours (https://docs.databricks.com/aws/en/notebooks/ipython-kernel, "Known issue"). The colours are
those of the text around it, so that it fits light and dark themes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from jinja2 import Environment, StrictUndefined, Template

from bedrock_spark.progress import Pace, Progress
from bedrock_spark.screen.text import MONEY, counted, paced, parts_of, time_left

# Shows a table as HTML and as plain text, in the place of the one before.
Show = Callable[[str, str], None]

# The table is replaced at most once in this time: some notebooks draw the whole cell again.
SPACING_SECONDS = 1.0
# A stage without a change for this long says what it waits for.
_QUIET_SECONDS = 60.0
# At most this number of notes, the last ones, is shown below the bars.
_NOTES = 20

_CELL = "border:0;background:none;text-align:left;padding:.1em .9em .1em 0"
# `color:inherit`: in a page without a doctype, as some notebooks frame an output, the text of a
# table is black.
_HTML = (
    """<div style="font:13px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif">
<table style="border-collapse:collapse;border:0;margin:.3em 0;font:inherit;color:inherit">
{% for row in rows %}
<tr style="background:none"><td style="CELL;white-space:nowrap;
{%- if row.is_part %}padding-left:1em;opacity:.7{% endif %}">{{ row.name }}</td>
<td style="CELL;width:12em"><div role="progressbar" aria-label="{{ row.name }}" aria-valuemin="0"
 aria-valuemax="100"{% if row.share is not none %} aria-valuenow="{{ row.percent }}"{% endif %}
 style="height:.6em;border-radius:.3em;overflow:hidden;background:rgba(128,128,128,.3)">
<div style="height:100%;width:{{ row.percent }}%;background:#2f9e83"></div></div></td>
<td style="CELL">{{ row.text }}</td>
<td style="CELL;white-space:nowrap;opacity:.7">{{ row.seconds }}</td></tr>
{% endfor %}
</table>
{% for note in notes %}
<div style="opacity:.8">{{ note }}</div>
{% endfor %}
</div>"""
).replace("CELL", _CELL)


@dataclass(frozen=True)
class _Row:
    """A bar. share: from 0 to 1; None if the total is not known."""

    name: str
    share: float | None
    text: str
    seconds: str = ""
    is_part: bool = False

    @property
    def percent(self) -> int:
        return int(100 * min(1.0, max(0.0, self.share or 0.0)))


@dataclass
class _Stage:
    """What is known of one stage; `ended_at` is None while it runs."""

    begun_at: float
    progress: Progress
    pace: Pace = field(default_factory=Pace)
    ended_at: float | None = None

    def rows(self, now: float) -> list[_Row]:
        progress = self.progress
        is_over = self.ended_at is not None
        passed = (now if self.ended_at is None else self.ended_at) - self.begun_at
        numbers = [counted(progress), "" if is_over else paced(progress, self.pace)]
        silence = now - self.pace.changed_at
        if not is_over and not progress.is_done and silence >= _QUIET_SECONDS:
            waits_for = f", waits for {progress.waits_for}" if progress.waits_for else ""
            numbers[1] = f"no change for {time_left(silence)}{waits_for}"
        if progress.counts is None:
            numbers.append(progress.detail)
        is_full = progress.total == 0 or (progress.total is None and is_over)
        share = progress.done / progress.total if progress.total else (1.0 if is_full else None)
        text = "; ".join(filter(None, numbers))
        row = _Row(progress.stage, share, text, time_left(passed) if passed >= 1 else "")
        # What the stage has cost stays to be read.
        parts = [part for part in parts_of(progress) if part.name == MONEY or not is_over]
        return [
            row,
            *(
                _Row(p.name, p.done / p.total if p.total else None, p.text, is_part=True)
                for p in parts
            ),
        ]


@cache
def _template() -> Template:
    made = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return made.from_string(_HTML)


class NotebookBars:
    """Shows the progress of stages as bars. A stage that comes again takes its bar again.

    place: makes a new place in the cell that runs, and returns what shows the bars there
    """

    def __init__(self, place: Callable[[], Show]) -> None:
        self._place = place
        self._show: Show | None = None
        self._stages: dict[str, _Stage] = {}
        self._notes = deque[str](maxlen=_NOTES)
        self._shown_at = float("-inf")

    def observe(self, progress: Progress, now: float) -> None:
        """Show the progress of a stage at a time, in seconds since the epoch."""
        stage = self._stages.get(progress.stage)
        is_new = stage is None or stage.ended_at is not None
        if stage is None or is_new:
            self._end(now)
            self._stages.pop(progress.stage, None)
            stage = self._stages[progress.stage] = _Stage(now, progress)
        is_over = progress.is_done and not stage.progress.is_done
        stage.progress = progress
        stage.pace.add(progress.done, now)
        if is_new or is_over or now - self._shown_at >= SPACING_SECONDS:
            self._draw(now)

    def tick(self, now: float) -> None:
        """Show the time that has passed, and what did not fit in since the last time."""
        if any(stage.ended_at is None for stage in self._stages.values()):
            self._draw(now)

    def say(self, text: str, now: float) -> None:
        """Show a line below the bars."""
        self._notes.append(text)
        self._draw(now)

    def finish(self, now: float) -> None:
        """Show the last state. What is observed later gets a new place."""
        if self._show is not None:
            self._end(now)
            self._draw(now)
        self._show = None
        self._stages.clear()
        self._notes.clear()

    def _end(self, now: float) -> None:
        for stage in self._stages.values():
            if stage.ended_at is None:
                stage.ended_at = now

    def _draw(self, now: float) -> None:
        self._shown_at = now
        rows = [row for stage in self._stages.values() for row in stage.rows(now)]
        plain = [f"{row.name}: {row.text or 'begins'}" for row in rows]
        html = _template().render(rows=rows, notes=self._notes)
        if self._show is None:
            self._show = self._place()
        self._show(html, "\n".join([*plain, *self._notes]))
