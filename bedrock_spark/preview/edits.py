"""What a person has made of one config: the changes, the choice of rows, and what was paid.

It is small, so it is kept when the rows of the config are not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from bedrock_spark.config.row_choice import RowChoice
from bedrock_spark.costs.tokens import paid_words
from bedrock_spark.preview.draft import Draft, Fields, read_draft
from bedrock_spark.preview.values import AnsweredRow


@dataclass
class Edits:
    """The changes of one config, and what its calls have cost.

    name: of the config, as `read_draft` takes it
    choice: which rows are asked
    draft: the config with its changes; typed: what the fields hold, valid or not
    paid: dollars of the calls so far; unknown_calls: those of them whose cost is not known
    """

    name: str
    choice: RowChoice
    draft: Draft = field(init=False)
    typed: Fields = field(init=False)
    paid: Decimal = Decimal()
    unknown_calls: int = 0

    def __post_init__(self) -> None:
        """Read the config. Raises ConfigError if it is not valid."""
        self.reset()

    @property
    def is_changed(self) -> bool:
        """Tell whether something differs from the file, as it was read."""
        return self.draft.text != self.draft.original or self.typed != self.draft.fields

    def reset(self) -> None:
        """Take the config as its file is now. Raises ConfigError if it is not valid."""
        self.take(read_draft(self.name))

    def take(self, draft: Draft) -> None:
        """Take a config as it is; the fields show it."""
        self.draft, self.typed = draft, draft.fields

    def note(self, row: AnsweredRow) -> None:
        """Count what an answer has cost."""
        self.paid += row.cost or Decimal()
        self.unknown_calls += row.is_paid and row.cost is None

    @property
    def paid_in_words(self) -> str:
        """Return what the calls have cost, and how many have a cost that is not known."""
        return paid_words(self.paid, self.unknown_calls)
