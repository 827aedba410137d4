"""What a model may write next, read off what it has before it.

Pure. Answers about a lesson repeat its words: after the last three tokens (or two, or one) comes what came
after them the last time. The method is known as prompt lookup decoding (A. Saxena, 2023). A guess is only a
guess: the engine decodes it beside the row before it and keeps it where the model would have chosen it.
"""

from collections.abc import Sequence

LONGEST = 3  # tokens that must repeat for the best guess
# So far back; a lesson and an answer fit, and looking takes a small part of a step.
WINDOW = 2048


def guess_next(tokens: Sequence[int]) -> int:
    """The likeliest successor of these tokens, of which there is at least one."""
    recent = tokens[-WINDOW:]
    last = recent[-1]
    best, best_length = last, 0
    for place in range(len(recent) - 2, -1, -1):
        if recent[place] != last:
            continue
        length = 1
        while length < LONGEST and place >= length and recent[place - length] == recent[-1 - length]:
            length += 1
        if length > best_length:
            best, best_length = recent[place + 1], length
            if length == LONGEST:
                break
    return best
