"""Find the labels of which a prompt wants one: `one of: spam, ham`, `as bug, question or wish`."""

# ruff: noqa: RUF001 - prompts have dashes and quotes of every kind

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

_QUOTES = "\"'`“”‘’«»*_<>[]() "
_MAX_LABELS = 100
_OR = r"(?:or|oder|ou)"
_WORD = r"[\"'`“*]?\w[\w-]*[\"'`”*]?"
# A list after a colon: on the same line, or as bullets below it.
_ANNOUNCED = re.compile(
    r"(?:\bone of\b[^:\n.?!{(]{0,40}|\b(?:labels?|categor(?:y|ies)|classes|options|choices|topics|"
    r"intents?|sentiments?|tags|departments?|kategorien?|klassen|themen|catégories|étiquettes|"
    r"eine[rmsn]? der folgenden|choose (?:exactly )?(?:from|between|one)|pick (?:from|one)|"
    r"answer with|respond with|reply with|wähle)\b[^:\n.?!{]{0,40})"
    r"(?::|\bare\b|\bsind\b)[ \t]*",
    re.IGNORECASE,
)
_ONE_OF = re.compile(r"\b(?:one of|either)\b(?: the)?[ \t]*[(\[]?", re.IGNORECASE)
_SORTED_AS = re.compile(
    r"\b(?:classif\w+|categori[sz]\w+|label|tag|mark|sort|tell|klassifizier\w*|kategorisier\w*|"
    r"ordne|stufe|classe[zr]?)\b[^.\n:?!]{0,120}?"
    r"\b(?:as|into|als|comme|en|whether it is)\b[ \t]*:?",
    re.IGNORECASE,
)
_OR_LIST = re.compile(
    rf"(?:{_WORD}[ \t]*,[ \t]*){{0,12}}{_WORD},?[ \t]+{_OR}[ \t]+(?:an? |eine? )?{_WORD}",
    re.IGNORECASE,
)
_ANSWER_WITH = re.compile(
    r"\b(?:answer|reply|respond|output|return|say|only|with|word|antworte|mit|nur|réponds)\W+$",
    re.I,
)
_GROUP = re.compile(r"[(\[]([^()\[\]\n]{3,120})[)\]]")
_ASKS = re.compile(
    r"\b(?:answer|reply|respon[ds]\w*|return|output|say|choose|decide|determine|classif\w*|label|"
    r"categor\w*|sentiment|only|is|are|antworte\w*|gib|nur|ordne|stufe|bewerte|klassifizier\w*|"
    r"ist|sind|entscheide|stimmung|kategor\w*|réponds|répondez)\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.?!:](?:\s|$)|\n|;(?= )")
_LAST_HEADING = re.compile(r"(?:^|\n)[ \t]*([A-ZÄÖÜa-z][\w ]{0,20}):\s*$")
_LINE_OR_SENTENCE = re.compile(r"[.?!]\s|\n")
_BULLET = re.compile(r"[ \t]*(?:[-*•]|\d{1,2}[.)])[ \t]+(.+)(?:\n|$)")
_TRIGGERS = (" or ", " oder ", " ou ", ":", "(", "[", "one of", " as ", " into ", " als ")
_ANNOUNCES = (
    *("one of", "label", "categor", "classes", "option", "choice", "topic", "intent", "sentiment"),
    *("tags", "department", "kategorie", "klassen", "themen", "catég", "étiqu", "folgenden"),
    *("choose", "pick", "answer with", "respond with", "reply with", "wähle"),
)
_SORTS = (
    *("classif", "categori", "label", "tag", "mark", "sort", "tell", "klassifi", "kategori"),
    *("ordne", "stufe", "classe"),
)
_ENDS_A_LABEL = re.compile(
    r"\s+(?:based|for|depending|according|and|in|with|by|as|und|je|is|if|from|according)\b.*|\s*[:(–—].*"
)


@dataclass(frozen=True)
class Labels:
    """The labels of a text, where their list is in it, and words that the text says about each."""

    names: tuple[str, ...]
    span: tuple[int, int]
    about: tuple[str, ...] = ()


def find_labels(text: str) -> Labels | None:
    """Return the first list of labels of a text, or None."""
    if not any(trigger in text for trigger in _TRIGGERS):
        return None
    # The words are looked for first, because that is many times as fast as the patterns.
    lower = text.lower()
    found = _announced(text) if _has(lower, _ANNOUNCES) else None
    if found is None and _has(lower, ("one of", "either")):
        found = _after(_ONE_OF, text)
    if found is None and _has(lower, _SORTS):
        found = _after(_SORTED_AS, text)
    return found or _asked(text)


def _has(text: str, words: tuple[str, ...]) -> bool:
    return any(map(text.__contains__, words))


def _announced(text: str) -> Labels | None:
    for lead in _ANNOUNCED.finditer(text):
        bullets = _bullets(text, lead.end())
        if bullets is not None:
            return Labels(bullets[0], (lead.start(), bullets[2]), bullets[1])
        end = _end_of_sentence(text, lead.end())
        names = split_labels(text[lead.end() : end])
        if names:
            return Labels(names, (lead.start(), end))
    return None


def _bullets(text: str, start: int) -> tuple[tuple[str, ...], tuple[str, ...], int] | None:
    position = start
    while text[position : position + 1] in ("\n", " "):
        position += 1
    if "\n" not in text[start:position]:
        return None
    names: list[str] = []
    about: list[str] = []
    while (bullet := _BULLET.match(text, position)) and len(names) < _MAX_LABELS:
        name, _, words = re.sub(r"\s+[-–—]\s+|\s*\(", ": ", bullet[1], count=1).partition(":")
        names.append(name.strip(_QUOTES + ".,;"))
        about.append(words)
        position = bullet.end()
    if len(names) < 2 or any(not name or len(name.split()) > 5 for name in names):
        return None
    return tuple(names), tuple(about), position


def _after(lead_pattern: re.Pattern[str], text: str) -> Labels | None:
    for lead in lead_pattern.finditer(text):
        end = _end_of_sentence(text, lead.end())
        names = split_labels(text[lead.end() : end])
        if names:
            return Labels(names, (lead.start(), end))
    return None


def _asked(text: str) -> Labels | None:
    """Return the labels of `Answer yes or no`, or of `sentiment (positive, negative)`."""
    lists = sorted(_OR_LIST.finditer(text), key=lambda found: not _follows_answer(text, found))
    for pattern, matches in ((_OR_LIST, lists), (_GROUP, _GROUP.finditer(text))):
        for found in matches:
            start = max(
                (m.end() for m in _LINE_OR_SENTENCE.finditer(text, 0, found.start())), default=0
            )
            names = split_labels(found[1] if pattern is _GROUP else found[0])
            if names and _ASKS.search(text, start, found.start()) and all(map(_is_short, names)):
                return Labels(names, found.span())
    return None


def _follows_answer(text: str, found: re.Match[str]) -> bool:
    """Tell whether a list is what the text says to answer with, and no part of its question."""
    return _ANSWER_WITH.search(text[max(0, found.start() - 30) : found.start()]) is not None


def _is_short(name: str) -> bool:
    return len(name.split()) <= 2 and not name.isdigit()


def _end_of_sentence(text: str, start: int) -> int:
    end = _SENTENCE_END.search(text, start)
    return end.start() if end else len(text)


@functools.lru_cache(maxsize=1024)
def split_labels(text: str) -> tuple[str, ...]:
    """Return the labels of a list such as `a, b or "c d"`, () if it is no list of labels."""
    if len(text) > 40 * _MAX_LABELS:
        return ()
    separators = rf"\s*(?:[,|/;]\s*(?:{_OR}\b)?|\b(?:{_OR}|and|und|et)\b)\s*"
    parts = [part for part in re.split(separators, text.strip()) if part.strip(_QUOTES)]
    if len(parts) < 2:
        return ()
    parts[-1] = _ENDS_A_LABEL.sub("", parts[-1])
    names = [re.sub(r"^(?:an?|the|eine?)\s+", "", part.strip(_QUOTES + ".:!?")) for part in parts]
    names = [name.strip(_QUOTES) for name in names]
    fits = all(name and len(name) <= 40 and len(name.split()) <= 4 for name in names)
    if fits and len(names[-1].split()) > max(len(name.split()) for name in names[:-1]) + 1:
        fits = False
    return tuple(dict.fromkeys(names)) if fits and len(set(names)) > 1 else ()


def labels_of_examples(text: str) -> Labels | None:
    """Return the values of a heading that the text ends with: `Label: a … Label: b … Label:`."""
    last = _LAST_HEADING.search(text)
    if last is None:
        return None
    earlier = re.compile(rf"(?:^|\n)[ \t]*{re.escape(last[1])}:[ \t]*(\S[^\n]*)")
    examples = [match for match in earlier.finditer(text) if match.start() < last.start()]
    names = tuple(dict.fromkeys(example[1].strip() for example in examples[:_MAX_LABELS]))
    if len(examples) < 2 or any(len(name.split()) > 3 or name[0] in "{[" for name in names):
        return None
    return Labels(names, (examples[0].start(), examples[-1].end()))
