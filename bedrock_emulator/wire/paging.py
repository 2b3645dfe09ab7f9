"""Pages of a list and the opaque tokens between them: keyset pagination.

https://use-the-index-luke.com/no-offset
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any, TypeVar

from bedrock_emulator.errors import invalid

Item = TypeVar("Item")
#: The sort key of an item: its creation time, and a number that orders items of the same time.
Position = tuple[float, int]
_DEFAULT_SIZE = 100
_PAGING_PARAMS = frozenset({"nextToken", "maxResults"})


def page(
    items: list[Item], params: dict[str, Any], position: Callable[[Item], Position]
) -> tuple[list[Item], str | None]:
    """Return one page of `items` and the token of the next page, None after the last page.

    Newest items are first, unless `sortOrder` is Ascending. A token holds the position of the last
    item shown, not a count of items, so items created between two requests cause no repetition and
    no gap. Raises ServiceError for an invalid token, and for one issued with other filters.
    """
    ascending = params.get("sortOrder") == "Ascending"
    ordered = sorted(items, key=position, reverse=not ascending)
    filters = {name: str(value) for name, value in params.items() if name not in _PAGING_PARAMS}
    after = _read_token(params["nextToken"], filters) if "nextToken" in params else None
    if after is not None:
        ordered = [
            item
            for item in ordered
            if (position(item) > after if ascending else position(item) < after)
        ]
    size = params.get("maxResults", _DEFAULT_SIZE)
    shown = ordered[:size]
    more = len(ordered) > size
    return shown, _write_token(position(shown[-1]), filters) if more else None


def _write_token(position: Position, filters: dict[str, str]) -> str:
    text = json.dumps({"after": position, "filters": filters}, sort_keys=True)
    return base64.urlsafe_b64encode(text.encode()).decode()


def _read_token(token: str, filters: dict[str, str]) -> Position:
    try:
        value = json.loads(base64.urlsafe_b64decode(token))
        time, number = value["after"]
        matches = value["filters"] == filters
    except (binascii.Error, ValueError, KeyError, TypeError) as exc:
        raise invalid("The provided nextToken is not valid.") from exc
    if not matches:
        raise invalid("The provided nextToken was issued for other filters.")
    return float(time), int(number)
