"""Model ids that are clearly of no chat model: Converse would refuse every one of their records.

Only for ids of no known family. The words are those of the ids that AWS publishes. AWS's pages and
public price tables list no batch inference for any of these models.
"""

from __future__ import annotations

import re

# A word of the id, and what the model does. Whole words only: palmyra-vision is a chat model.
_WORDS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(words), does)
    for words, does in (
        ("marengo", "embeds videos, sounds and images, online only"),
        ("pegasus", "answers questions about videos, online only"),
        ("embed|embeddings?", "makes embeddings"),
        ("rerank(er)?", "ranks texts"),
        ("reel|video|ray", "makes videos"),
        ("sonic|speech|audio|tts|transcribe|realtime", "is for speech"),
        ("stability|images?|canvas|diffusion", "makes or changes images"),
        ("guardrails?|moderation", "judges texts"),
    )
)


def what_else(bare_id: str) -> str | None:
    """Return what a model does that is no chat; None if it may be a chat model.

    bare_id: without ARN and geography
    """
    words = re.split(r"[.:-]", bare_id)
    return next((does for known, does in _WORDS if any(map(known.fullmatch, words))), None)
