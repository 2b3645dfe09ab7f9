"""What a page of rows shows, as the parameters of its address: so it can be kept and sent on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from bedrock_spark.browse.row_filter import ErrorGroup, RowFilter
from bedrock_spark.browse.row_sets import Order
from bedrock_spark.browse.unit_file import Place
from bedrock_spark.errors import ConfigError
from bedrock_spark.pairs.sides import OUTCOMES

# What the parameter `within` may say besides a unit.
SAMPLE = "sample"


@dataclass(frozen=True)
class RowQuery:
    """A page of rows.

    wanted: the rows that it shows
    unit: only those of this unit; is_sample: only those of a sample
    order: the column that they are sorted by; then unit or is_sample is given
    start: where a page that is not sorted begins; first: how many rows the pages before a page of a
        sorted unit or of a sample have
    """

    wanted: RowFilter = field(default_factory=RowFilter)
    unit: str | None = None
    is_sample: bool = False
    order: Order | None = None
    start: Place | None = None
    first: int = 0

    @property
    def is_set(self) -> bool:
        """Tell whether the page is one of a sorted unit or of a sample."""
        return self.is_sample or self.order is not None

    @property
    def within(self) -> str:
        """Return the parameter `within`."""
        return SAMPLE if self.is_sample else self.unit or ""

    def params(self) -> list[tuple[str, str]]:
        """Return the parameters of the address, but for the run."""
        wanted, order = self.wanted, self.order
        pairs = [
            *(("outcome", name) for name in wanted.outcomes),
            ("error", wanted.error.text if wanted.error is not None else ""),
            ("column", wanted.column or ""),
            ("value", wanted.value if wanted.column is not None else ""),
            ("text", wanted.text),
            ("within", self.within),
            ("sort", order.column if order is not None else ""),
            ("desc", "1" if order is not None and order.is_descending else ""),
            ("at", str(self.start) if self.start is not None else ""),
            ("first", str(self.first) if self.first else ""),
        ]
        return [(name, value) for name, value in pairs if value]

    def beginning(self) -> RowQuery:
        """Return the first page of the same rows."""
        return replace(self, start=None, first=0)

    def at(self, start: Place) -> RowQuery:
        """Return the page of the same rows that begins at a place."""
        return replace(self, start=start, first=0)

    def after(self, first: int) -> RowQuery:
        """Return the page of the same sorted rows, or of the same sample, after `first` rows."""
        return replace(self, start=None, first=first)


def read_query(get: Callable[[str], str], get_all: Callable[[str], Iterable[str]]) -> RowQuery:
    """Return the page that an address names.

    get: returns the value of a parameter, "" if there is none; get_all: all its values
    Raises ConfigError for a value that makes no sense.
    """
    outcomes = tuple(dict.fromkeys(name for name in get_all("outcome") if name))
    for name in outcomes:
        if name not in OUTCOMES:
            raise ConfigError(f"outcome = {name!r}: is none of {', '.join(OUTCOMES)}")
    error, within, sort = get("error"), get("within"), get("sort")
    if get("value") and not get("column"):
        raise ConfigError(f"value = {get('value')!r}: choose the column that has it")
    wanted = RowFilter(
        outcomes,
        ErrorGroup.of(error) if error else None,
        get("column") or None,
        get("value"),
        get("text").strip(),
    )
    order = Order(sort, get("desc") == "1") if sort else None
    return RowQuery(
        wanted,
        unit=within if within not in ("", SAMPLE) else None,
        # To sort a whole run, all of it would be read.
        is_sample=within == SAMPLE or (order is not None and not within),
        order=order,
        start=Place.of(get("at")) if get("at") else None,
        first=_number(get("first")),
    )


def _number(text: str) -> int:
    if text and not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise ConfigError(f"first = {text!r}: is no number of rows")
    return int(text or 0)
