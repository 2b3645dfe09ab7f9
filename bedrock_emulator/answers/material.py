"""What a text offers for an answer: its words, sentences, names and numbers, and its mood.

No language model: word lists and regular expressions. The choice of a label is by shared words, as
in a bag-of-words classifier (https://en.wikipedia.org/wiki/Bag-of-words_model).
"""

# ruff: noqa: RUF001 - prompts have dashes and quotes of every kind

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Sequence

_MAX_CHARACTERS = 2_000
_LEAST_SPACES = 3
_STEM = 4  # letters
_WORD = re.compile(r"[^\W\d_]{2,}")
_SENTENCE = re.compile(r".+?(?:[.!?](?=\s|$)|\n|$)", re.DOTALL)
_LINE_BREAK_IN_SENTENCE = re.compile(r"(?<=[\w,;)`'\"])[ \t]*\n[ \t]*(?=[a-zß-ÿ(])")
_NAME = re.compile(r"\b[A-ZÄÖÜ][\w'’-]+(?:[ \t]+(?:of|de|van|von)?[ \t]?[A-ZÄÖÜ][\w'’-]+)*")
_PATTERNS = {
    "email": re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*\w"),
    "uri": re.compile(r"https?://[^\s\"'<>)]+"),
    "date": re.compile(r"\b\d{4}-\d\d-\d\d\b"),
    "phone": re.compile(r"\+?\d[\d ()/-]{6,}\d"),
}
_STOPWORD_TEXT = """
about above after again all also and any are because been before being below both but can could did
does doing down during each few for from further had has have having her here hers him his how into
its itself just me more most my myself nor not now off once only other our ours out over own same
she should some such than that the their them then there these they this those through too under
until very was were what when where which while who whom why will with would you your yours let get
got half many aber alle als auch auf aus bei bin bis das dass dem den der des die dies durch ein
eine einem einen einer eines für haben hat ich ihr ist kann kein keine mein mich mir mit nach nicht
noch nur oder ohne sehr sein sich sie sind und uns unter vom von vor war was wenn wer wie wir wird
zum zur über les des pour dans est pas que qui avec sur
"""
_CALENDAR = """
january february march april may june july august september october november december monday tuesday
wednesday thursday friday saturday sunday januar februar märz mai juni juli oktober dezember montag
dienstag mittwoch donnerstag freitag samstag sonntag i
"""
_CODE = re.compile(r"(?<![\w.])[\w-]*\d[\w-]*(?![\w.]*\d)")
_AMOUNT = re.compile(r"(?<![\w.-])\d+(?:[.,]\d+)?(?![\w-])")
_STOPWORDS = frozenset(_STOPWORD_TEXT.split())
_NO_NAMES = _STOPWORDS | frozenset(_CALENDAR.split())
# The label for what fits no other one; `neutral` and `ham` are, too, if the others have cues.
_OTHER_TEXT = "other others misc unknown sonstige sonstiges andere autre"
_YES_NO_TEXT = "yes no ja nein true false oui non"
# Words that speak for a label, by its first letters, so that "Billing" and "billed" are one.
_CUES = {
    "posi": "good great love loved excellent perfect happy amazing wonderful best nice fantastic "
    "recommend thanks thank gut super toll schön liebe perfekt zufrieden danke delicious friendly",
    "nega": "bad terrible awful hate hated worst broken poor disappointed disappointing slow never "
    "refund horrible useless angry waste dirty rude schlecht kaputt furchtbar enttäuscht ärgerlich",
    "spam": "free win won winner prize txt claim urgent cash call click offer stop guaranteed",
    "bill": "invoice charge charged payment pay paid card fee price bill twice rechnung",
    "rech": "rechnung bezahlt abgebucht betrag zahlung",
    "ship": "delivery deliver delivered parcel package arrive arrived courier tracking order",
    "vers": "lieferung paket geliefert versand bestellung",
    "refu": "refund return returned money back",
    "acco": "login password account sign username locked profile",
    "tech": "error crash crashes bug install update app screen loading",
    "bug": "error crash crashes broken fails stops wrong bug exception",
    "ques": "how what why where can whether",
    "wish": "would wish like add could",
    "feat": "would wish add support could",
    "comp": "complaint complain terrible broken disappointed unacceptable late",
    "urge": "urgent immediately asap now emergency critical down",
    "high": "urgent immediately asap emergency critical down outage",
    "spor": "game team match season player coach goal",
    "poli": "government election president minister senate vote",
    "numb": "number integer float numeric digits decimal sum mean square logarithm",
    "file": "file files directory path filename",
    "netw": "socket address host port server http url internet",
    "time": "time seconds clock date datetime delay",
    "text": "string strings character characters text line regular",
    "erro": "error exception raised fails failure",
    "busi": "company market shares profit sales stock",
}
_OTHER = frozenset(_OTHER_TEXT.split())
_REST = _OTHER | {"neutral", "ham", "none"}
_YES_NO = frozenset(_YES_NO_TEXT.split())
# Labels that a text may hold without being about them.
_SAYS_NOTHING = _STOPWORDS | _REST | _YES_NO


class Material:
    """A text, read as far as an answer needs it."""

    def __init__(self, text: str) -> None:
        self.text = text[:_MAX_CHARACTERS].strip()

    @functools.cached_property
    def words(self) -> list[str]:
        return _WORD.findall(self.text)

    @functools.cached_property
    def lower_words(self) -> frozenset[str]:
        return frozenset(_WORD.findall(self.text.lower()))

    @functools.cached_property
    def stems(self) -> frozenset[str]:
        return frozenset([word[:_STEM] for word in self.lower_words])

    @functools.cached_property
    def sentences(self) -> list[str]:
        """Sentences without line breaks; at least one, if there is any text."""
        text = _LINE_BREAK_IN_SENTENCE.sub(" ", self.text)
        parts = [" ".join(part.split()) for part in _SENTENCE.findall(text)]
        return [part for part in parts if any(letter.isalnum() for letter in part)]

    @functools.cached_property
    def keywords(self) -> list[str]:
        """Words that stand out: first those that are repeated, then the long ones."""
        counts = {
            word: count
            for word, count in Counter(map(str.lower, self.words)).items()
            if len(word) > 3 and word not in _STOPWORDS
        }
        ranked = sorted(counts, key=lambda word: (-counts[word], -len(word)))
        return ranked[:8] or [word.lower() for word in self.words[:1]]

    @functools.cached_property
    def names(self) -> list[str]:
        """Capitalised words, first those inside of sentences, where a capital means a name."""
        found = [(m.start(), m[0]) for m in _NAME.finditer(self.text)]
        names = [(self._begins_sentence(start) and " " not in name, name) for start, name in found]
        names.sort(key=lambda item: item[0])
        return list(dict.fromkeys(name for _, name in names if name.lower() not in _NO_NAMES))

    @functools.cached_property
    def amounts(self) -> list[float]:
        return [float(number.replace(",", ".")) for number in _AMOUNT.findall(self.text)]

    @functools.cached_property
    def mood(self) -> int:
        """Above 0 if praise outweighs complaint, below 0 if it is the other way round."""
        return self._cues("posi") - self._cues("nega")

    def find(self, kind: str) -> str | None:
        """Return the first email, uri, date or phone number of the text, or None."""
        found = _PATTERNS[kind].search(self.text)
        return found[0] if found else None

    def code(self) -> str | None:
        """Return the first word with a digit, such as `INV-2210`; one with a letter if there is."""
        codes = sorted(_CODE.findall(self.text), key=str.isdigit)
        return codes[0] if codes else None

    def clause(self, most: int = 24) -> str:
        """Return the first sentence of more than three words, cut to `most`; "" if no text."""
        sentences = self.sentences
        longer = (text for text in sentences if text.count(" ") >= _LEAST_SPACES)
        return cut_words(next(longer, sentences[0]), most) if sentences else ""

    def choose(self, options: Sequence[object], about: Sequence[str] = ()) -> int | None:
        """Return the index of the option whose words the text shares most; None if unclear.

        about: words about each option, which count as the option's
        """
        scores = []
        is_known = False
        for index, option in enumerate(options):
            own, cues, has_cues = _read_option(str(option))
            described = _stems_of(about[index]) if about else frozenset()
            is_known |= has_cues
            shared = 3 * len(own & self.stems) + len(described & self.stems)
            scores.append(shared + len(cues & self.lower_words))
        best = max(scores, default=0)
        if best > 0:
            winners = [index for index, score in enumerate(scores) if score == best]
            return winners[0] if len(winners) == 1 else None
        rest = [i for i, option in enumerate(options) if str(option).lower() in _REST]
        is_rest = is_known or (len(rest) == 1 and str(options[rest[0]]).lower() in _OTHER)
        return rest[0] if is_rest and len(rest) == 1 else None

    def agrees(self, question: str) -> bool:
        """Tell whether the text has cues for something that a question names: a complaint, spam."""
        return any(self._cues(stem(word)) for word in _WORD.findall(question))

    def _cues(self, label: str) -> int:
        return len(_cue_words(label) & self.lower_words)

    def _begins_sentence(self, position: int) -> bool:
        before = self.text[:position].rstrip()
        return not before or before[-1] in ".!?:\n"


@functools.cache
def _cue_words(label: str) -> frozenset[str]:
    return frozenset(_CUES.get(label[:_STEM], _CUES.get(label, "")).split())


@functools.lru_cache(maxsize=4096)
def _read_option(option: str) -> tuple[frozenset[str], frozenset[str], bool]:
    """Return the stems of an option's words, words that speak for it, and whether it has any."""
    words = _WORD.findall(option)
    own = frozenset(stem(word) for word in words if word.lower() not in _SAYS_NOTHING)
    cues = frozenset().union(*(_cue_words(stem(word)) for word in words))
    return own, cues, bool(cues)


@functools.lru_cache(maxsize=4096)
def _stems_of(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in _WORD.findall(text))


def stem(word: str) -> str:
    """Return the first letters of a word, which its other forms share."""
    return word[:_STEM].lower()


def cut_words(text: str, most: int) -> str:
    """Return a text's first `most` words, with an ellipsis if there are more."""
    words = text.split()
    return " ".join(words[:most]) + ("…" if len(words) > most else "")
