"""Whether an image of Amazon's models may cost more than the one price in the table.

Larger images and those of premium quality cost more. The price of Titan in the table is that of the
smallest standard images, up to 512 pixels a side. That of Nova Canvas is the one of premium images
up to 1,024 pixels a side, which standard images above that cost, too. Sizes and qualities: AWS's
price page, by reports of users; the table has no others, so no other price is counted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

_CANVAS = re.compile(r".*amazon\.nova-canvas-v1(:.*)?")
_SMALL, _USUAL = 512, 1_024
_STANDARD, _PREMIUM = "standard", "premium"
# The task whose images have a size of their own. Those of others have that of an image of the body.
_FROM_TEXT = "TEXT_IMAGE"


def more_than_listed(model_id: str, body: Mapping[str, Any]) -> str | None:
    """Return why an image may cost more than the table says, in words; None if it cannot.

    model_id: of one of Amazon's image models; of any other id, the least is assumed
    body: of the request; a value that is no number or text, such as a placeholder, may be anything
    """
    config = body.get("imageGenerationConfig")
    config = config if isinstance(config, Mapping) else {}
    usual = _USUAL if body.get("taskType", _FROM_TEXT) == _FROM_TEXT else None
    sizes = [config.get(side, usual) for side in ("width", "height")]
    side = max(sizes) if all(map(_is_size, sizes)) else math.inf
    quality = config.get("quality", _STANDARD)
    if _CANVAS.fullmatch(model_id):
        if quality == _STANDARD or (quality == _PREMIUM and side <= _USUAL):
            return None
        return "the list has one price of an image, and premium ones above 1,024 pixels cost more"
    if quality == _STANDARD and side <= _SMALL:
        return None
    return "the list has one price of an image, and those above 512 pixels or premium cost more"


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
