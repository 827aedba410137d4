"""From a JSON schema to a grammar (GBNF) that lets a model write nothing but JSON of that shape.

Pure. What the grammar cannot keep is refused, never ignored; annotations such as `title` ask for nothing.
Whatever the schema says, the grammar stays small and flat, and its choices do not multiply: llama.cpp
follows every alternative that fits so far at the same time, and a few nested ones would be millions.
"""

import json
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from models.alternatives import Alternatives
from models.errors import SchemaUnsupported

# A quiz of ten questions takes about 2 KiB; every answer reads the grammar anew.
MAX_SCHEMA_BYTES = 16 * 1024
MAX_RULES = 400
# llama.cpp writes a repetition out, one rule for each time.
MAX_REPETITIONS = 2000
MAX_PROPERTIES = 100
# The values of one enum or bounded integer. All are followed at the same time: where the model's own
# choice is refused, 100 cost 85 ms with SmolLM2's vocabulary on one core, 250 cost 190.
MAX_VALUES = 100

JSON_OBJECT: Mapping[str, object] = {"type": "object"}

# At most one blank, as people write JSON on a line: in free white space small models lose themselves.
_BASICS = r"""
space ::= " "?
char ::= [^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})
string ::= "\"" char* "\""
natural ::= "0" | [1-9] [0-9]{0,14}
integer ::= "-"? natural
positive ::= natural ("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})?
number ::= "-"? positive
boolean ::= "true" | "false"
null ::= "null"
pair ::= string ":" space value
object ::= "{" space (pair ("," space pair)*)? space "}"
array ::= "[" space (value ("," space value)*)? space "]"
value ::= object | array | string | number | boolean | null
day ::= [0-9]{4} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | "1" [0-9] | "2" [0-8])
hour ::= ([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9]
date ::= "\"" day "\""
time ::= "\"" hour ":" [0-5] [0-9] "Z\""
date-time ::= "\"" day "T" hour ":" [0-5] [0-9] "Z\""
hex ::= [0-9a-f]
uuid ::= "\"" hex{8} "-" hex{4} "-" hex{4} "-" hex{4} "-" hex{12} "\""
""".strip()

_KINDS = ("object", "array", "string", "number", "integer", "boolean", "null")
_FORMATS = ("date", "time", "date-time", "uuid")
_ANNOTATIONS = {
    "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly",
    "$schema", "$id", "$comment", "$defs", "definitions",
}  # fmt: skip
_KEPT = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"minLength", "maxLength", "format"},
    "integer": {"minimum", "maximum"},
    "number": {"minimum"},
    "boolean": set[str](),
    "null": set[str](),
}
_KEYWORDS = {"type", "enum", "const", "anyOf", "allOf", "$ref"}.union(*_KEPT.values())

Schema = Mapping[str, Any]


def write_grammar(schema: object) -> str:
    """Return the grammar whose root is the schema.

    Raises:
        SchemaUnsupported: it says something that the grammar cannot keep, or too much.
    """
    try:
        text = json.dumps(schema, ensure_ascii=False, allow_nan=False).encode()
        if len(text) > MAX_SCHEMA_BYTES:
            raise SchemaUnsupported(detail=f"it is larger than {MAX_SCHEMA_BYTES} bytes")
        return _Writer(schema).write()
    except ValueError as error:  # NaN, or half of a character
        raise SchemaUnsupported(detail="its text cannot be written as JSON in UTF-8") from error
    except RecursionError as error:
        raise SchemaUnsupported(detail="it is nested too deeply") from error


class _Writer:
    def __init__(self, root: object) -> None:
        self._root = root
        self._names: dict[tuple[int, str], str] = {}  # one rule a schema and kind, so recursion ends
        # A queue instead of calls: a schema may be nested deeper than Python's stack.
        self._unwritten: deque[tuple[str, Schema, str]] = deque()
        self._repetitions = 0
        self._alternatives = Alternatives()
        self._writing = "root"
        self._rules: list[str] = []

    def write(self) -> str:
        self._add("root", self._choice(self._root))
        while self._unwritten:
            name, schema, kind = self._unwritten.popleft()
            self._writing = name
            self._add(name, self._body(name, schema, kind))
        if self._alternatives.multiply():
            raise SchemaUnsupported(detail="choices between objects that begin alike are nested")
        return "\n".join([*self._rules, _BASICS])

    def _add(self, name: str, body: str) -> None:
        self._rules.append(f"{name} ::= {body}")

    # --- which rules a schema may begin with ---

    def _choice(self, schema: object) -> str:
        """The rules of a schema, behind all its references and choices."""
        rules: dict[str, None] = {}  # a set that keeps its order
        left, seen = [schema], set[int]()
        while left:
            node = _object(left.pop())
            if id(node) in seen:
                continue
            seen.add(id(node))
            inner = self._inner(node)
            if inner is None:
                rules.update(dict.fromkeys(self._leaves(node)))
            else:
                left += reversed(inner)
        if not rules:
            raise SchemaUnsupported(detail="a part of it allows no value")
        self._alternatives.note_choice(self._writing, tuple(rules))
        return " | ".join(rules)

    def _inner(self, node: Schema) -> Sequence[object] | None:
        """The schemas that this one only points to; None when it describes values itself."""
        pointers = [name for name in ("$ref", "anyOf", "allOf") if name in node]
        if not pointers:
            return None
        beside = node.keys() - _ANNOTATIONS - set(pointers)
        if beside or len(pointers) > 1:
            raise SchemaUnsupported(detail=f"{pointers[0]} stands beside other rules")
        value = node[pointers[0]]
        if pointers == ["$ref"]:
            return [self._find(value)]
        if not isinstance(value, list) or not value:
            raise SchemaUnsupported(detail=f"{pointers[0]} must be a list of schemas")
        if pointers == ["allOf"] and len(value) > 1:
            raise SchemaUnsupported(detail="allOf joins several schemas")
        return value

    def _find(self, reference: object) -> object:
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise SchemaUnsupported(detail="$ref leads out of the schema")
        node = self._root
        for part in reference.split("/")[1:]:
            name = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(node, dict) and name in node:
                node = node[name]
            elif isinstance(node, list) and name.isdecimal() and int(name[:9]) < len(node):
                node = node[int(name[:9])]
            else:
                raise SchemaUnsupported(detail="$ref leads nowhere")
        return node

    def _leaves(self, node: Schema) -> list[str]:
        unknown = node.keys() - _ANNOTATIONS - _KEYWORDS
        if unknown:
            raise SchemaUnsupported(detail=f"{min(unknown)[:40]!r} is not supported")
        if "enum" in node or "const" in node:
            return [self._name(node, "enum")]
        kinds = node.get("type")
        if kinds is None:
            # Pydantic leaves the type out where a keyword tells it.
            kinds = [kind for kind, kept in _KEPT.items() if kind != "number" and kept & node.keys()]
            if not kinds:
                return ["value"]
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if not isinstance(kinds, list) or not kinds or any(kind not in _KINDS for kind in kinds):
            raise SchemaUnsupported(detail=f"type must be one of {', '.join(_KINDS)}")
        kept = set[str]().union(*(_KEPT[kind] for kind in kinds))
        foreign = node.keys() & (_KEYWORDS - {"type"} - kept)
        if foreign:
            raise SchemaUnsupported(detail=f"{min(foreign)!r} does not fit the type")
        return [self._name(node, kind) for kind in kinds]

    def _name(self, node: Schema, kind: str) -> str:
        if kind in _KEPT and not _KEPT[kind] & node.keys():
            return kind
        name = self._names.get((id(node), kind))
        if name is None:
            if len(self._names) >= MAX_RULES:
                raise SchemaUnsupported(detail=f"it has more than {MAX_RULES} parts")
            name = self._names[id(node), kind] = f"{kind}-{len(self._names)}"
            self._unwritten.append((name, node, kind))
        return name

    # --- what a rule says ---

    def _body(self, name: str, node: Schema, kind: str) -> str:
        match kind:
            case "object":
                return self._object(name, node)
            case "array":
                return self._array(node)
            case "string":
                return self._string(node)
            case "enum":
                return self._enum(node)
        return self._number(node, kind)

    def _object(self, name: str, node: Schema) -> str:
        properties, required = node.get("properties", {}), node.get("required", [])
        more = node.get("additionalProperties", True)
        if not isinstance(properties, dict) or len(properties) > MAX_PROPERTIES:
            raise SchemaUnsupported(detail=f"properties must be an object of at most {MAX_PROPERTIES}")
        if not isinstance(required, list) or not all(isinstance(key, str) for key in required):
            raise SchemaUnsupported(detail="required must be a list of names")
        if not set(required) <= properties.keys():
            raise SchemaUnsupported(detail="required names a property that is not described")
        if properties or more is False:
            # Saying nothing more than what is described always fits, also where more would be allowed.
            return self._closed_object(name, properties, set(required))
        if more is True:
            return "object"
        pair = f'string ":" space {self._group(more)}'
        return f'"{{" space ({pair} ("," space {pair})*)? space "}}"'

    def _closed_object(self, name: str, properties: Schema, required: set[str]) -> str:
        """The properties in their order; one that is not required may be left out."""
        starts = []
        is_empty = True  # may the object be?
        for at, (key, value) in enumerate(properties.items()):
            self._add(f"{name}-{at}", f"{_literal(_compact(key) + ':')} space {self._group(value)}")
            if is_empty:  # every property before was optional, so this one may come first
                starts.append(f"{name}-{at} {name}-{at}-on")
            is_last = at + 1 == len(properties)
            self._add(f"{name}-{at}-on", '""' if is_last else f"{name}-{at + 1}-after {name}-{at + 1}-on")
            after = f'"," space {name}-{at}'
            if at:
                self._add(f"{name}-{at}-after", after if key in required else f"({after})?")
            is_empty = is_empty and key not in required
        if len(starts) == 1 and not is_empty:
            key, value = next(iter(properties.items()))
            self._alternatives.note_head(name, key, _values_of(value))
        if not starts:
            return '"{" space "}"'
        return f'"{{" space ({" | ".join(starts)}){"?" if is_empty else ""} space "}}"'

    def _array(self, node: Schema) -> str:
        item = self._group(node.get("items", True))
        least, most = self._bounds(node, "minItems", "maxItems")
        if most == 0:
            return '"[" space "]"'
        times = f"{{{max(least - 1, 0)},{'' if most is None else most - 1}}}"
        items = f'{item} ("," space {item}){times}'
        return f'"[" space {items if least else f"({items})?"} space "]"'

    def _string(self, node: Schema) -> str:
        form = node.get("format")
        least, most = self._bounds(node, "minLength", "maxLength")
        if form is not None:
            if form not in _FORMATS or least or most is not None:
                raise SchemaUnsupported(detail=f"format can be {', '.join(_FORMATS)}, without a length")
            return str(form)
        return f'"\\"" char{{{least},{"" if most is None else most}}} "\\""'

    def _bounds(self, node: Schema, low: str, high: str) -> tuple[int, int | None]:
        least, most = node.get(low, 0), node.get(high)
        for number in (least, 0 if most is None else most):
            if not isinstance(number, int) or isinstance(number, bool) or number < 0:
                raise SchemaUnsupported(detail=f"{low} and {high} must be whole numbers")
        if most is not None and most < least:
            raise SchemaUnsupported(detail=f"{high} is less than {low}")
        self._repetitions += least if most is None else most
        if self._repetitions > MAX_REPETITIONS:
            raise SchemaUnsupported(detail=f"its lengths add up to more than {MAX_REPETITIONS}")
        return least, most

    def _enum(self, node: Schema) -> str:
        values = [node["const"]] if "const" in node else node["enum"]
        if not isinstance(values, list) or ("const" in node and "enum" in node):
            raise SchemaUnsupported(detail="enum must be a list, and const stands alone")
        if node.keys() & (_KEYWORDS - {"type", "enum", "const"}):
            raise SchemaUnsupported(detail="enum and const stand beside other rules")
        kinds = node.get("type", list(_KINDS))
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if not isinstance(kinds, list):
            raise SchemaUnsupported(detail=f"type must be one of {', '.join(_KINDS)}")
        texts = {_compact(value): None for value in values if _is_of(value, kinds)}
        return self._one_of(list(texts))

    def _number(self, node: Schema, kind: str) -> str:
        low, high = node.get("minimum"), node.get("maximum")
        for bound in (low, high):
            if bound is not None and (not isinstance(bound, int) or isinstance(bound, bool)):
                raise SchemaUnsupported(detail="minimum and maximum must be whole numbers")
        if low == 0 and high is None:
            return "natural" if kind == "integer" else "positive"
        if kind != "integer" or low is None or high is None or high - low >= MAX_VALUES:
            detail = f"a number's bounds can be minimum 0, or at most {MAX_VALUES} integers"
            raise SchemaUnsupported(detail=detail)
        return self._one_of([str(number) for number in range(low, high + 1)])

    def _one_of(self, texts: Sequence[str]) -> str:
        if not texts:
            raise SchemaUnsupported(detail="a part of it allows no value")
        if len(texts) > MAX_VALUES:
            raise SchemaUnsupported(detail=f"it lists more than {MAX_VALUES} values")
        return " | ".join(map(_literal, texts))

    def _group(self, schema: object) -> str:
        choice = self._choice(schema)
        return f"({choice})" if "|" in choice else choice


def _values_of(schema: object) -> frozenset[str] | None:
    """The values of a plain enum or const, which tell objects apart."""
    if not isinstance(schema, dict) or "$ref" in schema:
        return None
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    return frozenset(map(_compact, values)) if isinstance(values, list) else None


def _object(schema: object) -> Schema:
    if schema is True:
        return {}
    if not isinstance(schema, dict):
        raise SchemaUnsupported(detail="a schema must be an object")
    return schema


def _is_of(value: object, kinds: Sequence[object]) -> bool:
    match value:
        case None:
            return "null" in kinds
        case bool():
            return "boolean" in kinds
        case str():
            return "string" in kinds
        case int() | float():
            whole = float(value).is_integer() if abs(value) < 2**53 else isinstance(value, int)
            return "number" in kinds or (whole and "integer" in kinds)
        case list():
            return "array" in kinds
    return "object" in kinds


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _literal(text: str) -> str:
    """JSON text holds no control characters, so only what GBNF itself reads must be told apart."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
