"""Was the answer told? A judge of its own, which knows what the obliging model meant to tell.

Written apart from the gate and sharing nothing with it: it flattens both sides and looks for the core of
what was told, then for the plain answer. It may call a text a leak that no child could read; it may not
miss one that is there.
"""

import re
import unicodedata
from fractions import Fraction

from tests.tutor.notations import say

# Look-alike letters meet on one of them, whatever the alphabet.
_MEET = str.maketrans("аеорсухіАВЕКМНОРСТХЅѕ0", "aeopcyxiABEKMHOPCTXSso")


def flat(text: str) -> str:
    """Return only letters and digits, in one case, without marks, with look-alikes as one."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(c for c in plain if c.isalnum()).translate(_MEET).casefold()


def tells(shown: str, key: str, told: str, language: str) -> bool:
    """Return whether what the learner saw holds the answer."""
    core = flat(told)
    if len(core) > 1 and core in flat(shown):
        return True
    if key.replace(".", "").replace("/", "").isdigit():
        return _tells_number(shown, key, language)
    return flat(key) in flat(shown) or flat(key)[::-1] in flat(shown)


def _tells_number(shown: str, key: str, language: str) -> bool:
    plain = unicodedata.normalize("NFKC", shown)
    if "/" in key:
        return any(
            Fraction(int(a), int(b)) == Fraction(key)
            for a, b in re.findall(r"(\d{1,6})\s*/\s*(\d{1,6})", plain)
            if int(b)
        )
    written = re.escape(key).replace(r"\.", "[.,]")
    if re.search(rf"(?<![\d.,/]){written}(?![\d/]|[.,]\d)", re.sub(r"(?<=\d)[ ,](?=\d{3}\b)", "", plain)):
        return True
    return (
        key.isdigit()
        and int(key) > 12
        and any(flat(say(int(key), each)) in flat(shown) for each in (language, "en", "ru", "kk"))
    )
