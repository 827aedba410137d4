"""From token bytes to text that may be sent: whole characters, and nothing past a stop string.

Pure. Letters of Kazakh and Russian are often split over two tokens, and a stop string over many.
"""

import codecs
from collections.abc import Sequence


class AnswerText:
    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._stop = [text for text in stop if text]
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""  # may be the beginning of a stop string
        self.stopped = False

    def feed(self, piece: bytes) -> str:
        """Take a token's bytes; return what may be shown now."""
        return self._release(self._decoder.decode(piece))

    def finish(self) -> str:
        """No more tokens come: return what was held back."""
        text = self._release(self._decoder.decode(b"", final=True))
        if self.stopped:
            return text
        text, self._held = text + self._held, ""
        return text

    def _release(self, text: str) -> str:
        if self.stopped:
            return ""
        if not self._stop:
            return text
        text = self._held + text
        found = [at for at in map(text.find, self._stop) if at >= 0]
        if found:
            self.stopped = True
            self._held = ""
            return text[: min(found)]
        keep = max(_overlap(text, stop) for stop in self._stop)
        cut = len(text) - keep
        self._held = text[cut:]
        return text[:cut]


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` could begin `stop`."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
