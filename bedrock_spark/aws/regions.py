"""The names of AWS's Regions, from the data of botocore. No call is made."""

from __future__ import annotations

import difflib
import re
from functools import cache

from botocore.loaders import create_loader

# A Region may be newer than the installed botocore. Its name still has these parts:
# https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html
_NAME = re.compile(
    r"(af|ap|ca|cn|eu|eusc|il|me|mx|sa|us)(-gov|-iso[a-z]?|-[a-z]{2})?"
    r"-(north|south)?(east|west|central|north|south)-\d"
)


@cache
def region_names() -> tuple[str, ...]:
    """Return the names of all Regions of all partitions that botocore knows."""
    partitions = create_loader().load_data("partitions")["partitions"]
    names = (name for partition in partitions for name in partition["regions"])
    return tuple(sorted(name for name in names if not name.endswith("-global")))


def region_fault(name: str) -> str | None:
    """Return why a text is no Region's name; None if it is one, or may be one soon."""
    if _NAME.fullmatch(name) or name in region_names():
        return None
    close = difflib.get_close_matches(name.strip().lower().replace("_", "-"), region_names(), n=2)
    hint = f"did you mean {' or '.join(close)}?" if close else "a Region is named like us-east-1"
    return f"is no AWS Region; {hint}"
