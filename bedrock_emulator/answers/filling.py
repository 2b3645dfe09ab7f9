"""Values for the members of an answer, taken from the text that the question is about."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bedrock_emulator.answers.material import Material, cut_words

_AMOUNTS = re.compile(
    r".*(?:amount|price|total|cost|count|quantity|age|year|sum|betrag|preis|anzahl|menge).*", re.I
)
_RATINGS = re.compile(r".*(?:rating|stars|bewertung|sterne)", re.IGNORECASE)
_TITLES = re.compile(r".*(?:title|subject|headline|titel|betreff|überschrift|titre)", re.IGNORECASE)
_NAMES = re.compile(
    r"(?:.*_)?(?:name|person|people|customer|author|who|company|organi[sz]ation|entitie|city|country|place|"
    r"location|product|brand|vendor|supplier|seller|buyer|sender|kunde|firma|stadt|ort|land|nom|ville)s?",
    re.IGNORECASE,
)
_WORDS = re.compile(
    r"(?:.*_)?(?:label|class|category|categorie|topic|tag|keyword|entity|type|kind|role|theme|"
    r"skill|item|object|noun|kategorie|thema|schlagwort|schlagwörter|stichwort|stichwörter)s?",
    re.IGNORECASE,
)
_REASONS = re.compile(
    r".*(?:reason|explanation|rationale|why|evidence|justification|begründung|grund|raison).*", re.I
)
_MOODS = re.compile(r".*(?:sentiment|mood|tone|stimmung)", re.IGNORECASE)
_SENTENCES = re.compile(
    r".*(?:points|facts|sentences|steps|reasons|actions|findings|claims|summary|punkte|sätze)", re.I
)
_CODES = re.compile(
    r".*(?:number|code|reference|sku|nummer)|(?:.*_)?(?:id|no|nr|ref)", re.IGNORECASE
)
_MENTIONS = re.compile(r"text|value|word|phrase|mention|span|entity|wert", re.IGNORECASE)
_PLACES_IN_TEXT = {
    "email": re.compile(r".*e?-?mail.*", re.IGNORECASE),
    "phone": re.compile(r".*(?:phone|telefon|mobile).*", re.IGNORECASE),
    "uri": re.compile(r".*(?:url|link|website)", re.IGNORECASE),
}
_CURRENCIES = (("€", "EUR"), ("EUR", "EUR"), ("£", "GBP"), ("¥", "JPY"), ("CHF", "CHF"))
_GERMAN = re.compile(r"\b(?:und|der|die|das|ist|nicht|ich|ein|eine|mit)\b")
_LANGUAGE = re.compile(r".*(?:language|lang|sprache)", re.IGNORECASE)

_MOST_ITEMS = 3


class Filling:
    """Fills members of an answer by their names."""

    def __init__(self, row: str, question: str = "") -> None:
        """Take what is needed from the row; without a row, from the question."""
        self._material = Material(row or question)
        self._is_question = not row

    def string(self, name: str, index: int | None) -> str | None:
        """Return a text for a member, None if the material has none.

        index: the place, in an array, of the object that has the member, from 0; None without an
        array. The objects of an array differ.
        """
        material = self._material
        if not material.words:
            return None
        for kind, names in _PLACES_IN_TEXT.items():
            if names.fullmatch(name):
                return material.find(kind) or ("reader@example.com" if kind == "email" else None)
        if name.lower() in ("currency", "währung"):
            return next((code for sign, code in _CURRENCIES if sign in material.text), "USD")
        if _LANGUAGE.fullmatch(name):
            return "de" if len(_GERMAN.findall(material.text)) > 1 else "en"
        if _MOODS.fullmatch(name):
            mood = material.mood
            return "positive" if mood > 0 else "negative" if mood < 0 else "neutral"
        if _TITLES.fullmatch(name):
            return cut_words(material.clause(), 6).rstrip(".,;:…")
        if _REASONS.fullmatch(name):
            return f'It says: "{material.clause(16)}"'
        if _CODES.fullmatch(name):
            return material.code()
        if index is not None and _MENTIONS.fullmatch(name):
            mentions = material.names or material.keywords
            return mentions[index % len(mentions)]
        listed = self._listed(name, index or 0)
        if listed is None and index is not None:
            listed = self._listed("keyword", index)
        return listed or self._said()

    def item(self, name: str, index: int) -> str | None:
        """Return a text for an item of an array of texts."""
        if not self._material.words:
            return None
        if _NAMES.fullmatch(name) or _WORDS.fullmatch(name):
            return self._listed(name, index)
        sentences = self._material.sentences
        if _SENTENCES.fullmatch(name):
            return cut_words(sentences[index % len(sentences)], 24)
        return self._listed("keyword", index)

    def size(self, name: str) -> int:
        """Return how many items an array should have, as far as the material has different ones."""
        return max(1, len({self.item(name, index) for index in range(_MOST_ITEMS)} - {None}))

    def date(self) -> str | None:
        return self._material.find("date")

    def email(self) -> str | None:
        return self._material.find("email")

    def uri(self) -> str | None:
        return self._material.find("uri")

    def number(self, name: str, low: float, high: float) -> float | None:
        """Return a number of the material for an amount, or a rating by its mood, within bounds."""
        if _RATINGS.fullmatch(name) and self._material.mood:
            return high if self._material.mood > 0 else low
        if _AMOUNTS.fullmatch(name):
            return next((n for n in self._material.amounts if low <= n <= high), None)
        return None

    def choice(self, options: Sequence[object]) -> int | None:
        """Return the index of the option that fits the material best, None if none does."""
        return self._material.choose(options)

    def _said(self) -> str:
        clause = self._material.clause()
        return f'A made-up answer to "{clause}"' if self._is_question else clause

    def _listed(self, name: str, index: int) -> str | None:
        material = self._material
        if _NAMES.fullmatch(name) and material.names:
            return material.names[index % len(material.names)]
        if (_NAMES.fullmatch(name) or _WORDS.fullmatch(name)) and material.keywords:
            return material.keywords[index % len(material.keywords)]
        return None
