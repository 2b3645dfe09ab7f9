"""The model ids that users read stand in one list, with their known ends."""

from __future__ import annotations

from tests.models import CLAUDE, ENDS, LOOKED_UP, NOVA, SONNET, ids_for_tests, ids_for_users

# An example of a misspelt id, in docs/config.md.
MISSPELT = {"amazon.nova-litte-v1:0"}
# Only these tests may use models that have ended: they test the form of a body or of an id.
ID_TESTS = (
    "bedrock_emulator/models/catalog.py",
    "tests/e2e/test_families.py",
    "tests/emulator/test_families.py",
    "tests/emulator/test_invoke.py",
    "tests/emulator/test_runtime.py",
    "tests/unit/aws/test_service_quotas.py",
    "tests/unit/costs/test_budget.py",
    "tests/unit/families/",
    "tests/unit/spark/prepare/test_row_limits.py",
)


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


def test_an_ended_model_is_in_family_tests_only() -> None:
    """A test that needs some model takes one of today."""
    wrong = {
        model_id: files
        for model_id, used in ids_for_tests().items()
        if (end := ENDS.get(model_id)) is not None and end <= LOOKED_UP
        if (files := {f for f in used if not f.startswith(ID_TESTS)})
    }
    assert wrong == {}


def test_the_models_of_tests_have_no_known_end() -> None:
    """The constants that tests and benchmarks import."""
    assert [ENDS[model_id] for model_id in (CLAUDE, SONNET, NOVA)] == [None, None, None]
