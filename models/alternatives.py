"""Whether the choices of a JSON grammar multiply when a model writes into them.

Pure. Objects that begin alike stay open side by side until a letter tells them apart; when each holds such
a choice again, there are twice as many, then four times: twenty levels are a million, in every step.
"""


class Alternatives:
    """Knows which choices the grammar cannot tell apart at once, and whether they are nested."""

    def __init__(self) -> None:
        self._choices: list[tuple[str, ...]] = []
        self._inside: dict[str, list[int]] = {}  # a rule's own choices
        self._heads: dict[str, tuple[str, frozenset[str] | None]] = {}

    def note_choice(self, rule: str, leaves: tuple[str, ...]) -> None:
        self._inside.setdefault(rule, []).append(len(self._choices))
        self._choices.append(leaves)

    def note_head(self, rule: str, key: str, values: frozenset[str] | None) -> None:
        """The object always begins with this property, and with one of these values if given."""
        self._heads[rule] = key, values

    def multiply(self) -> bool:
        blurred = {at for at, leaves in enumerate(self._choices) if not self._are_told_apart(leaves)}
        return any(self._reaches(at, blurred) for at in blurred)

    def _are_told_apart(self, leaves: tuple[str, ...]) -> bool:
        if sum(leaf in ("value", "array") or leaf.startswith("array-") for leaf in leaves) > 1:
            return False
        objects = [leaf for leaf in leaves if leaf in ("value", "object") or leaf.startswith("object-")]
        seen: dict[str, frozenset[str] | None] = {}
        for leaf in objects if len(objects) > 1 else ():
            if leaf not in self._heads:
                return False
            key, values = self._heads[leaf]
            known = seen.get(key, frozenset())
            if values is None or known is None:
                if key in seen:
                    return False
                seen[key] = None
            elif known & values:
                return False
            else:
                seen[key] = known | values
        return True

    def _reaches(self, start: int, blurred: set[int]) -> bool:
        left, seen = list(self._choices[start]), set[str]()
        while left:
            leaf = left.pop()
            if leaf in seen:
                continue
            seen.add(leaf)
            for at in self._inside.get(leaf, ()):
                if at in blurred:
                    return True
                left += self._choices[at]
        return False
