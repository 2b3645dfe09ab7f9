"""The model ids that users read stand in one list, with their known ends."""

from __future__ import annotations

import re

from bedrock_spark.families import bare_model_id
from tests.models import CLAUDE_MODEL, ENDS, LOOKED_UP, NOVA, ROOT, SONNET_MODEL, ids_for_users

# An example of a misspelt id, in docs/config.md.
MISSPELT = {"amazon.nova-litte-v1:0"}


def test_every_id_for_users_is_in_the_list() -> None:
    """An id of the README, the docs, the demo or the benchmarks has an entry."""
    used = ids_for_users()
    assert len(used) >= 6
    missing = {m: files for m, files in used.items() if m not in ENDS and m not in MISSPELT}
    assert missing == {}


def test_no_id_for_users_had_ended_when_the_list_was_made() -> None:
    """What a reader copies works."""
    ended = {m for m in ids_for_users() if (end := ENDS.get(m)) is not None and end <= LOOKED_UP}
    assert ended == set()


def test_a_test_that_needs_some_model_takes_one_of_today() -> None:
    """Ended models stand in tables about their own rules, never as a module's MODEL or CLAUDE."""
    ended = {m for m, end in ENDS.items() if end is not None and end <= LOOKED_UP}
    constant = re.compile(r'^[A-Z]+ = "([^"]+)"', re.MULTILINE)
    for path in [*(ROOT / "tests").rglob("*.py"), *(ROOT / "bench").rglob("*.py")]:
        named = {bare_model_id(text) for text in constant.findall(path.read_text("utf-8"))}
        assert named.isdisjoint(ended), path


def test_the_models_of_tests_have_no_known_end() -> None:
    """The constants that tests and benchmarks import."""
    assert [ENDS[model_id] for model_id in (CLAUDE_MODEL, SONNET_MODEL, NOVA)] == [None, None, None]
