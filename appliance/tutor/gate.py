"""Read an answer before the learner does, and hold back the key of the task in any notation. Pure.

The gate streams: it keeps only as much of the end as may still become the key, and once it has seen the
key it lets nothing more through. Promises to fail closed: a fault of its own holds the rest back. Keeps
out what stands in its place (`ladder`) and who may see the solution (`ladder` again).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

from appliance.tutor import gate_words, key_names, numerals, riddles, told_before
from appliance.tutor.folding import Folded, fold
from appliance.tutor.numerals import Mention
from appliance.tutor.plainness import find_foreign, find_oddity

# What has been let through is looked at again for so far: a number may begin in it.
LOOK_BACK_CHARACTERS = 160
# Up to here numbers are part of plain speech ("two ways", "step 3", "бір"), so their company decides.
TINY = 12
# Where no number belongs these still are plain speech: "one of them", "in two ways", "the third".
SPOKEN = 3
# A number that stands in the task may be quoted with its neighbours, so two words behind it are waited for.
WORDS_BEHIND = 2
WORDS_BEFORE = 4
ALMOST = Fraction(1, 100)
# Of 1/3 "0.33" says as much.
ROUNDED_WITHIN = Fraction(6, 1000)

_WORD = re.compile(r"[^\W\d_]+|\d+(?:[.,]\d+)*")
_CUE = re.compile(
    r"=|≈|\b(?:answers?|equals?|results?|solution|correct|right|ответ\w*|равн\w*|равен|результат\w*|получ\w*|итого|верн\w*|"
    r"правильн\w*|решени\w*|жауа[пб]\w*|тең\w*|нәтиже\w*|дұрыс\w*|шеші\w*|шығады|is|are|будет|болады|secret|key|кілт\w*|ключ\w*)"
)
_PLACES = re.compile(
    r"digit|цифр|\btens?\b|\bones\b|\bunits\b|hundreds|десятк|единиц|сотен|сотн|разряд|ондық|бірлік|жүздік|\bthen\b|followed|"
    r"next|потом|затем|дальше|после|сосын|кейін|содан|соңында|finally|lastly|сначала|алдымен|begins|starts|ends|char|symbol|символ|таңба"
)
_PLACE_NAMES = re.compile(
    r"\b(?:tens|ones|units|hundreds|thousands|десятк\w+|единиц\w*|сот\w*|сотн\w*|ондық\w*|бірлі\w+|жүзді\w+)\b"
)
_BACKWARDS = re.compile(
    r"backward|revers|mirror|right to left|наоборот|задом|справа|обратн|зеркал|кері|терс|оңнан солға|соңынан"
)
_BASES = re.compile(
    r"binary|двоичн|екілік|\bhex|шестнадцатеричн|он алтылық|\bbase\b|octal|восьмеричн|сегіздік"
)
_META = re.compile(
    r"steps?|parts?|ways?|things?|numbers?|hints?|questions?|sides?|halves|times|moment|more|of|at|қадам\w*|бөлі[кг]\w*|жол\w*|сан\w*|"
    r"рет\w*|сұра\w*|шаг\w*|част\w*|способ\w*|раз|чис\w*|вопрос\w*|подсказ\w*|нәрсе\w*|кеңес\w*|из|of|another|other|step"
)
_ASKED_FOR = re.compile(
    r"(?:how many|how much|сколько|скольк\w+|неше|қанша)\s+(?:more\s+|еще\s+|ещё\s+)?([^\W\d_]+)"
)
_MARKER_BEFORE = re.compile(
    r"(?:^|\n)[\s*#>\-]*$|\b(?:step|hint|part|line|шаг|подсказка|қадам|кеңес)\s*[#№:]?\s*$"
)


@dataclass(frozen=True)
class Key:
    """What must not be told: every accepted answer, and the text in which numbers may be quoted."""

    answers: tuple[str, ...]
    task: str = ""
    tolerance: Fraction = Fraction(0)
    language: str = "en"
    position: int | None = None  # of the right choice, counted from 1
    numbers: tuple[Fraction, ...] = field(init=False)
    words: tuple[tuple[str, ...], ...] = field(init=False)

    def __post_init__(self) -> None:
        numbers = [abs(value) for answer in self.answers for value in _key_numbers(answer)]
        object.__setattr__(self, "numbers", tuple(dict.fromkeys(numbers)))
        worded = [answer for answer in self.answers if not _key_numbers(answer)]
        object.__setattr__(self, "words", tuple(filter(None, map(_content, worded))))


class Gate:
    """One answer on its way to one learner."""

    def __init__(
        self,
        keys: Sequence[Key],
        *,
        asked: str = "",
        before: Sequence[str] = (),
        by_person: bool = False,
        has_no_numbers: bool = False,
    ) -> None:
        """A person may write as they like: only the key itself counts then.

        `asked` is what the learner wrote: who asks for it backwards may get it backwards.
        `has_no_numbers` is for an answer that needs none: who was not told the task has none to quote.
        `before` are the answers this learner has seen about the same task: a key told in pieces is told.
        """
        self._by_person = by_person
        self._has_no_numbers = has_no_numbers
        self._keys = [_Lock(key, fold(asked).text, before, by_person=by_person) for key in keys]
        self._is_kazakh = any(key.language == "kk" for key in keys)
        self._text = ""
        self._released = 0
        self.tripped: str | None = None  # the rule that held the rest back

    def feed(self, piece: str) -> str:
        """Take a piece of the model's text and return what the learner may see now."""
        self._text += piece
        return self._advance(is_end=False)

    def finish(self) -> str:
        """The model has ended: return the rest, if it may be seen."""
        return self._advance(is_end=True)

    def _advance(self, *, is_end: bool) -> str:
        if self.tripped is not None:
            return ""
        try:
            safe = self._safe_until(is_end=is_end)
        except Exception:  # noqa: BLE001 - fail closed: whatever stumbles in here must not let the key through
            self.tripped = "gate_failed"
            return ""
        shown = self._text[self._released : safe] if self.tripped is None else ""
        self._released += len(shown)
        return shown

    def _safe_until(self, *, is_end: bool) -> int:
        """Return up to where the text may be seen, or set `tripped`."""
        begin = self._text.rfind(" ", 0, max(0, self._released - LOOK_BACK_CHARACTERS)) + 1
        source = self._text[begin:]
        folded = fold(source)
        tail = len(folded.text) if is_end else _open_tail(folded.text, is_kazakh=self._is_kazakh)
        found = [m for m in numerals.mentions(folded, source, is_kazakh=self._is_kazakh) if m.end <= tail]
        seen_until = folded.at[tail] if tail < len(folded.text) else len(source)
        if not self._by_person and find_oddity(source[:seen_until]) is not None:
            self.tripped = "odd"
            return self._released
        if self._has_no_numbers and any(abs(mention.value) > SPOKEN for mention in found):
            self.tripped = "number"
            return self._released
        if any(lock.is_mailed(source[:seen_until]) for lock in self._keys):
            self.tripped = "coded"
            return self._released
        whole = fold(self._text).text
        for lock in self._keys:
            rule, held = lock.look(folded, found, whole, tail, is_end=is_end)
            if rule is not None:
                self.tripped = rule
                return self._released
            tail = min(tail, held)
        return max(self._released, begin + folded.at[tail])


class _Lock:
    """One key, ready to be compared."""

    def __init__(self, key: Key, asked: str, before: Sequence[str] = (), *, by_person: bool = False) -> None:
        self._key = key
        self._asked = asked
        task = fold(key.task).text
        self._task_words = _WORD.findall(task)
        quoted = [m for m in numerals.mentions(task, is_kazakh=key.language == "kk") if m.how != "sum"]
        # A sum of these is the learner's own work: the task gave them, or the learner found them.
        found = numerals.mentions(asked, is_kazakh=key.language == "kk")
        self._own_numbers = {abs(m.value) for m in [*quoted, *found] if m.how != "sum"}
        self._quotes = [
            (_words_before(task, m.start, 2), _words_behind(task, m.end))
            for m in quoted
            if self._is_key(m.value)
        ]
        self._asked_things = set(_ASKED_FOR.findall(task))
        self._by_person = by_person
        self._names = tuple(dict.fromkeys(name for n in key.numbers for name in key_names.of_number(n)))
        self._is_small = all(number <= TINY for number in key.numbers)
        self._hidden = [word for words in key.words for word in {"".join(words), *words}]
        is_kazakh = key.language == "kk"
        self._fragments = [
            told_before.read(one, self._own_numbers, self._task_words, is_kazakh=is_kazakh) for one in before
        ]
        self._word_forms = [form for words in key.words for form in gate_words.forms("".join(words))]

    def look(
        self, folded: Folded, found: Sequence[Mention], whole: str, tail: int, *, is_end: bool
    ) -> tuple[str | None, int]:
        """Return the rule that forbids this text, and from where on it is not decided yet."""
        held = tail
        rule = self._disguise(folded.text[:tail])
        if rule is not None:
            return rule, held
        if self._key.numbers:
            named, begun = key_names.find(folded.text[:tail], self._names, is_small=self._is_small)
            if named:
                return "misspelt", held
            held = held if is_end else min(held, begun)
            closed = key_names.without_hyphens(folded.text[:tail])
            if closed and key_names.find(closed, self._names, is_small=self._is_small)[0]:
                return "misspelt", held
            if told_before.completes(self._fragments, found, self._key.numbers, self._own_numbers):
                return "in_pieces", held
            for mention in [*found, *riddles.meant(folded.text[:tail], found)]:
                verdict = self._verdict(folded.text, mention, is_end=is_end)
                if verdict == "wait":
                    held = min(held, mention.start)
                elif verdict is not None:
                    return verdict, held
            if not self._by_person and riddles.is_circled(
                folded.text[:tail], found, self._key.numbers, self._own_numbers
            ):
                return "circled", held
            if self._is_taken_apart(folded.text[:tail]):
                return "spelled", held
            if self._is_spelled_out(whole if is_end else whole[: len(whole) - len(folded.text) + tail]):
                return "spelled", held
        if self._key.position is not None and _names_choice(folded.text[:tail], found, self._key.position):
            return "choice", held
        rule, begun = self._words(folded.text, is_end=is_end)
        return rule, min(held, begun)

    def is_mailed(self, source: str) -> bool:
        """Return whether the key stands here in the code of mails, which needs its capitals."""
        digits = [str(n) for n in self._key.numbers if n >= 10]
        joined = [" ".join(name) for name in self._names if not self._is_small]
        return key_names.is_mailed(source, [*digits, *joined, *self._hidden])

    def _disguise(self, text: str) -> str | None:
        """Return the rule against names of the key that are shuffled, coded or of another script."""
        if self._key.numbers and not self._key.words and not self._by_person:
            known = {*self._task_words, *_WORD.findall(self._asked)}
            if find_foreign(text, self._key.language, known) is not None:
                return "odd"
        joined = ["".join(name) for name in self._names if not self._is_small]
        if key_names.is_acrostic(text, [*joined, *self._hidden]):
            return "acrostic"
        if key_names.is_encoded(text, [*joined, *self._hidden]):
            return "coded"
        if any(key_names.is_word_hidden(text, word) for word in self._hidden if word not in self._task_words):
            return "words"
        words = [word for words in self._key.words for word in words]
        if words and told_before.completes_word(self._fragments, _WORD.findall(text), words):
            return "in_pieces"
        return None

    def _is_key(self, value: Fraction) -> bool:
        return any(_is_near(abs(value), number, self._key.tolerance) for number in self._key.numbers)

    def _verdict(self, text: str, mention: Mention, *, is_end: bool) -> str | None:
        if not self._is_key(mention.value):
            return None
        before, behind = _words_before(text, mention.start, WORDS_BEFORE), _words_behind(text, mention.end)
        if mention.how == "sum":
            return None if {abs(part) for part in mention.parts} <= self._own_numbers else "sum"
        if self._quotes or abs(mention.value) <= TINY:
            if not is_end and len(behind) < WORDS_BEHIND and not _has_ended(text, mention.end):
                return "wait"
            if self._may_be_said(text, mention, before, behind):
                return None
        return mention.how

    def _may_be_said(self, text: str, mention: Mention, before: Sequence[str], behind: Sequence[str]) -> bool:
        """A number of the task may be quoted, a small one may be plain speech, but never as the answer."""
        nearby = " ".join(before) + " " + text[max(0, mention.start - 3) : mention.start]
        if _CUE.search(nearby) or _CUE.match(" ".join(behind)):
            return False
        if mention.how in ("digits", "word") and self._is_quote(before, behind):
            return True
        if abs(mention.value) > TINY or mention.value.denominator != 1:
            return False
        sentence = re.split(r"[.!?\n]", text[: mention.start])[-1]
        if not sentence.strip(" *#\"'") and not re.match(r"[.)]\s*\w", text[mention.end :]) and not behind:
            return False
        if mention.how == "ordinal":
            return bool(behind)
        if mention.how == "digits" and _MARKER_BEFORE.search(text[: mention.start]):
            return re.match(r"\s*[.):\-]\s*\*{0,2}\s*[^\W\d]", text[mention.end :]) is not None
        return self._is_speech(mention, behind)

    def _is_quote(self, before: Sequence[str], behind: Sequence[str]) -> bool:
        """The same number of the same things as in the task, unless those are what the task asks for."""
        for was_before, was_behind in self._quotes:
            if behind[:1] and behind[:1] == was_behind[:1]:
                is_asked_for = behind[0] in self._asked_things
                if (
                    not is_asked_for
                    or before[-1:] == was_before[-1:]
                    or (len(behind) > 1 and behind == was_behind)
                ):
                    return True
        return False

    def _is_speech(self, mention: Mention, behind: Sequence[str]) -> bool:
        if mention.how != "word" or not behind or behind[0] in self._task_words:
            return False
        return mention.value == 1 or _META.fullmatch(behind[0]) is not None

    def _is_taken_apart(self, text: str) -> bool:
        """A decimal or a fraction with its digits and its mark set apart: "7 - 2 - . - 5", "1 / 1 0"."""
        for number in self._key.numbers:
            if number.denominator == 1:
                # "4,2" for 42, unless the task or the learner speaks of 4.2 themselves.
                digits = str(number.numerator)
                is_own = len(digits) == 2 and Fraction(".".join(digits)) in self._own_numbers
                apart = rf"(?<![\d.,]){','.join(digits)}(?![.,]?\d)"
                if len(digits) > 1 and not is_own and re.search(apart, text):
                    return True
                continue
            told = {
                (str(number.numerator) + str(number.denominator), "/"),
                (re.sub(r"\D", "", _decimal_text(number)), ".,"),
            }
            for run in numerals.runs(text, is_kazakh=True):
                digits = "".join(atom.digits for atom in run if len(atom.digits) == 1)
                written = text[run[0].start : run[-1].end]
                if any(digits == each and set(marks) & set(written) for each, marks in told):
                    return True
        return False

    def _is_spelled_out(self, whole: str) -> bool:
        """Digits told one by one with words between them, backwards, or in another base."""
        told = [str(n) for n in self._key.numbers if n.denominator == 1 and n >= 10]
        told += [re.sub(r"\D", "", _decimal_text(n)) for n in self._key.numbers if n.denominator != 1]
        backwards = _BACKWARDS.search(whole) or _BACKWARDS.search(self._asked)
        if not told or not (backwards or _PLACES.search(whole) or _BASES.search(whole + self._asked)):
            return False
        named = _PLACE_NAMES.sub(" ", whole)
        atoms = [
            a for run in numerals.runs(named, is_kazakh=True) for a in run if a.digits and a.how != "ordinal"
        ]
        if _BASES.search(whole + self._asked) and any(_in_other_base(a.digits) & set(told) for a in atoms):
            return True
        if re.search(
            r"\b(?:" + "|".join(hex(int(n))[2:] for n in told if n.isdigit()) + r")\b", whole
        ) and _BASES.search(whole):
            return True
        singles = "".join(a.digits if len(a.digits) == 1 else f" {a.digits} " for a in atoms)
        every = "".join(a.digits for a in atoms) if backwards else singles
        # "digit 1: 4, digit 2: 2": every second one only counts the places.
        counted = singles.replace(" ", "")[1::2]
        return any(n in singles or n[::-1] in every or n == counted for n in told if len(n) > 1)

    def _words(self, text: str, *, is_end: bool) -> tuple[str | None, int]:
        """Find an answer in words, whole, in pieces, letter by letter or backwards."""
        tokens = list(_WORD.finditer(text))
        open_from = len(text)
        for place, token in enumerate(tokens):
            for form in self._word_forms:
                state = gate_words.compare(form, tokens[place:], text, is_end=is_end)
                if state == "whole" and not self._quotes_words(text, token.start(), form):
                    return "words", open_from
                if state == "begun":
                    open_from = min(open_from, token.start())
            if any(gate_words.is_misspelt(form, token[0]) for form in self._word_forms):
                return "words", open_from
        for words in self._key.words:
            if gate_words.is_halved("".join(words), [token[0] for token in tokens]):
                return "words", open_from
            if len(words) > 1 and self._has_all(words, [token[0] for token in tokens]):
                return "words", open_from
        return None, open_from

    def _has_all(self, words: Sequence[str], said: Sequence[str]) -> bool:
        needed = [word for word in words if word not in self._task_words] or list(words)
        if len(needed) < 2:
            return False
        for start in range(max(1, len(said) - gate_words.WORDS_APART + 1)):
            near = said[start : start + gate_words.WORDS_APART]
            if all(any(gate_words.same_word(word, other) for other in near) for word in needed):
                return True
        return False

    def _quotes_words(self, text: str, start: int, form: "gate_words.Form") -> bool:
        """An answer that stands in the task may be named between the same neighbours, as in the task."""
        behind = _words_behind(text[start:], 0)[1:2]
        before = _words_before(text, start, 1)
        if _CUE.search(" ".join(_words_before(text, start, WORDS_BEFORE))):
            return False
        return any(
            gate_words.same_word(form.plain, middle) and before == [first] and behind == [last]
            for (first, middle), last in zip(pairwise(self._task_words), self._task_words[2:], strict=False)
        )


_EMPTY_WORDS = frozenset(
    "the a an of in on at to and or is are и в на с по к о у за и или мен пен бен және".split()
)


def _content(answer: str) -> tuple[str, ...]:
    words = _WORD.findall(fold(answer).text)
    return tuple(word for word in words if word not in _EMPTY_WORDS) or tuple(words)


def _key_numbers(answer: str) -> tuple[Fraction, ...]:
    # A date or a name with a number in it is an answer in words.
    words = [w for w in _WORD.findall(fold(answer).text) if not w[0].isdigit()]
    return numerals.value_of(answer) if len(words) <= WORDS_BEFORE else ()


def _is_near(value: Fraction, key: Fraction, tolerance: Fraction) -> bool:
    if abs(value - key) <= tolerance:
        return True
    # "41.999" says forty-two.
    if key.denominator == 1 and key > 1 and value.denominator % 10 == 0 and abs(value - key) < ALMOST:
        return True
    rest = key.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest != 1 and value.denominator != 1 and abs(value - key) < ROUNDED_WITHIN


def _decimal_text(number: Fraction) -> str:
    return f"{float(number):.4f}".rstrip("0")


def _in_other_base(digits: str) -> set[str]:
    values = set()
    for base in (2, 8, 16):
        try:
            values.add(str(int(digits, base)))
        except ValueError:
            continue
    return values


def _names_choice(text: str, found: Sequence[Mention], position: int) -> bool:
    """Return whether the right one of the choices is told by its place: "the second", "option 2"."""
    for mention in found:
        if mention.value == position:
            near = (
                " ".join(_words_before(text, mention.start, 2))
                + " "
                + " ".join(_words_behind(text, mention.end))
            )
            if mention.how == "ordinal" or re.search(r"option|choice|вариант|нұсқа|number|номер", near):
                return True
    return False


def _words_before(text: str, start: int, count: int) -> list[str]:
    return _WORD.findall(text[max(0, start - 80) : start])[-count:]


def _words_behind(text: str, end: int) -> list[str]:
    """Return up to WORDS_BEHIND words of the same sentence; the last must be whole."""
    sentence = re.split(r"[.!?\n](?:\s|$)", text[end : end + 80])[0]
    words = list(_WORD.finditer(sentence))[:WORDS_BEHIND]
    return [w[0] for w in words if end + w.end() < len(text)]


def _has_ended(text: str, end: int) -> bool:
    return (
        re.search(r"[.!?\n](?:\s|$)", text[end : end + 80]) is not None
        and re.search(r"\w", text[end:]) is not None
    )


def _open_tail(text: str, *, is_kazakh: bool) -> int:
    """Return where the part begins that the next letters may still turn into another number."""
    begin = len(text)
    # A word is known when something follows it; a lone mark (a backslash, an ampersand) may begin a formula.
    last = re.search(r"[\w\\&#;{}'$^.,/:+\-]+$", text)
    if last:
        begin = last.start()
    every = list(numerals.runs(text, is_kazakh=is_kazakh))
    open_run = every[-1] if every else []
    if open_run and open_run[-1].end <= len(text):
        behind = text[open_run[-1].end : begin]
        words = _WORD.findall(behind)
        if all(numerals.joins(word) for word in words) and numerals.is_close(behind):
            begin = min(begin, open_run[0].start)
    # Single letters one after the other may become a word.
    letters = re.search(
        r"(?:(?<![^\W_])[^\W\d_][^\w]{1,4})+(?:[^\W\d_]?)$", text[:begin] if begin == len(text) else text
    )
    if letters:
        begin = min(begin, letters.start())
    command = re.search(r"\\[dtc]?frac[^a-z]{0,40}$", text)
    if command:
        begin = min(begin, command.start())
    return begin
