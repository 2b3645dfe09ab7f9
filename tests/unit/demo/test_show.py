"""What the demo shows: answers that fit its columns, and some of them as a table."""

from __future__ import annotations

import pytest

from bedrock_emulator.answers.deterministic import DeterministicBackend
from bedrock_emulator.answers.prompt import Prompt, Turn
from bedrock_spark.config import Config
from bedrock_spark.config_file import load_config
from bedrock_spark.demo import show
from bedrock_spark.demo.corpus import build_corpus
from bedrock_spark.families.base import Answer
from bedrock_spark.outputs.parse import AnswerParser
from bedrock_spark.schema import parse_ddl
from tests.modules import ROOT


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(ROOT / "conf" / "demo.yaml")


@pytest.fixture(scope="module")
def answers(config: Config) -> dict[str, str]:
    """Return the local Bedrock's answer for every tenth name of the corpus, and those shown."""
    texts = {}
    for number, row in enumerate(build_corpus().to_pylist()):
        if number % 10 and row["qualified_name"] not in show._SHOWN:
            continue
        text = str(config.request.prompt)
        for column in ("qualified_name", "docstring"):
            text = text.replace(f"{{{{ {column} }}}}", row[column])
        limit = config.request.max_tokens or 0
        prompt = Prompt((Turn("user", text),), str(config.request.system), limit)
        texts[row["qualified_name"]] = DeterministicBackend().complete("m", prompt).text
    return texts


def test_every_answer_of_the_demo_fits_its_columns(config: Config, answers: dict[str, str]) -> None:
    """Its documentation is full of braces, lists and JSON, which are no part of the question."""
    assert config.results.parse is not None
    parser = AnswerParser(parse_ddl(config.results.parse.columns))
    misfits = {
        name: text for name, text in answers.items() if parser.parse(Answer(text=text)).reason
    }
    assert len(answers) > 500
    assert misfits == {}


def test_the_names_that_the_demo_shows_are_in_the_corpus(answers: dict[str, str]) -> None:
    """They are in the library of every Python; their answers make sense."""
    assert set(show._SHOWN) <= set(answers)
    assert '"topic": "numbers"' in answers["math.sqrt"]
    assert '"topic": "files"' in answers["os.listdir"]


def test_the_table_shortens_long_texts_only() -> None:
    """Columns are as wide as their longest cell."""
    lines = show._table([("a.b", "text", 3, "Short."), ("c", "numbers", 12, "x " * 60)])
    assert lines[0] == "name  topic    difficulty  summary"
    assert lines[1] == "a.b   text     3           Short."
    assert lines[2].startswith("c     numbers  12          x x ")
    assert lines[2].endswith("…")
    assert len(lines[2]) == len("c     numbers  12          ") + show._SUMMARY_WIDTH
