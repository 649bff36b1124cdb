"""YAML without its traps: text to plain data with line numbers, refusing whatever two readers could read differently."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

from zoo_core.errors import RecipeError, ZooError

MAX_BYTES = 1 << 20
"""Longest YAML text that is read."""
MAX_DEPTH = 16
"""Deepest nesting of lists and mappings."""
WIDTH = 132
"""Widest list or mapping that `dump_yaml` puts on one line."""

Place = tuple[str | int, ...]
"""Where a value sits in a document: keys and list positions from the top."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORDS = {"": None, "null": None, "true": True, "false": False}
_NAMES = {None: "null", True: "true", False: "false"}
_DOUBTFUL_WORDS = frozenset({"~", "yes", "no", "on", "off", "true", "false", "null"})
_NUMBER_START = frozenset("0123456789+-.")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,19})")
_FLOAT = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")
_DOUBTFUL_NUMBER = re.compile(
    r"[-+]?(0[xXoObB][0-9a-fA-F_]+|\.?[0-9][0-9_]*(:[0-9_]+)*(\.[0-9_]*)?([eE][-+]?[0-9_]+)?)"
)


@dataclass(frozen=True, kw_only=True)
class Document:
    """One YAML text as plain data."""

    data: Any
    """Dicts, lists, str, int, float, bool and None; None for an empty text."""
    where: str
    """The file it came from, for messages."""
    lines: Mapping[Place, int]
    """Line of every key and list item, counted from 1."""


def parse_yaml(
    text: str | bytes, *, where: str, error: type[ZooError] = RecipeError, limit: int = MAX_BYTES
) -> Document:
    """The text as plain data. Raises `error`, with the line, for everything that two readers could read differently.

    Refused: duplicate keys, anchors, aliases, merge keys, tags, directives, a second document, words and numbers that
    YAML would turn into something else (`no`, `010`, `12:30:45`), more than `limit` bytes and more than `MAX_DEPTH` levels.
    """
    decoded = _decode(text, where, error, limit)
    composer = _Composer(where, error)
    parser = _LOADER(decoded)
    try:
        composer.run(parser.get_event)
    except yaml.MarkedYAMLError as failure:
        mark = failure.problem_mark or failure.context_mark
        line = mark.line if mark else 0
        tabbed = "\t" in "".join(decoded.split("\n")[line : line + 1])
        hint = "indent with spaces, not tabs" if tabbed else ""
        raise error(f"{format_location(where, line + 1)}: {failure.problem}", hint=hint) from None
    except yaml.YAMLError as failure:
        raise error(f"{where}: {getattr(failure, 'reason', failure)}", hint="save it as plain UTF-8 text") from None
    finally:
        parser.dispose()
    return Document(data=composer.data, where=where, lines=composer.lines)


def parse_scalar(text: str) -> Any:
    """What an unquoted word means: null, true, false, a number, or itself. Raises ValueError for a doubtful one."""
    if not text or text[0] not in _NUMBER_START:
        if text in _WORDS:
            return _WORDS[text]
        if len(text) <= 5 and text.lower() in _DOUBTFUL_WORDS:
            raise ValueError(f"{text} could be read as true, false or null: write one of these, or quote it")
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if len(text) <= 32 and _FLOAT.fullmatch(text) and not text.lstrip("+-").isdecimal() and math.isfinite(float(text)):
        return float(text)
    if _DOUBTFUL_NUMBER.fullmatch(text):
        raise ValueError(f"{text[:40]} could be read as another number: write a plain decimal, or quote it")
    return text


def dump_yaml(data: Any) -> str:
    """`data` as YAML that `parse_yaml` reads back equal, keys in the order given.

    Raises ValueError for what can't be read back: numbers that are not finite, other types, keys that are not text,
    too many levels.
    """
    text: str = yaml.serialize(_node(data, 0), Dumper=_Dumper, width=math.inf, allow_unicode=True)
    # The library ends a document that is one bare word with a line of its own.
    return text.removesuffix("...\n") if text.endswith("\n...\n") else text


def format_location(where: str, line: int) -> str:
    """`file:line`, or the file alone where the line isn't known."""
    return f"{where}:{line}" if line else where


def _decode(text: str | bytes, where: str, error: type[ZooError], limit: int) -> str:
    """The text, whose byte order mark the parser skips. Raises `error` for another encoding and for a text that is too long."""
    data = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    if len(data) > limit:
        raise error(f"{where}: {len(data)} bytes, more than the {limit} allowed")
    try:
        return data.decode()
    except UnicodeDecodeError as failure:
        line = data.count(b"\n", 0, failure.start) + 1
        raise error(f"{format_location(where, line)}: not UTF-8 text", hint="save it as UTF-8") from None


class _Composer:
    """Turns parser events into plain data, refusing what could mean two things, before anything is expanded."""

    def __init__(self, where: str, error: type[ZooError]) -> None:
        self.where = where
        self.error = error
        self.data: Any = None
        self.lines: dict[Place, int] = {}
        self._documents = 0
        self._open: list[tuple[Any, Place]] = []
        self._keys: list[str | None] = []

    def run(self, get_event: Callable[[], Any]) -> None:
        """Consume the events of a whole text."""
        while True:
            event = get_event()
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self._scalar(event)
            elif kind is yaml.MappingStartEvent:
                self._start(event, {})
            elif kind is yaml.SequenceStartEvent:
                self._start(event, [])
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._open.pop()
                self._keys.pop()
            elif kind is yaml.AliasEvent:
                self._refuse(event, f"alias *{event.anchor[:60]} is not allowed", "write the value out")
            elif kind is yaml.DocumentStartEvent:
                self._document(event)
            elif kind is yaml.StreamEndEvent:
                return

    def _document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            self._refuse(event, "a second document begins here", "keep one document in a file")
        if event.version or event.tags:
            self._refuse(event, "% directives are not allowed", "delete the line")

    def _scalar(self, event: Any) -> None:
        if event.anchor is not None or event.tag is not None:
            self._refuse_marks(event)
        value: Any = event.value
        if event.implicit[0]:
            try:
                value = parse_scalar(value)
            except ValueError as wrong:
                self._refuse(event, str(wrong))
        if self._open and self._keys[-1] is None and type(self._open[-1][0]) is dict:
            self._key(event, value)
        else:
            self._add(event, value)

    def _key(self, event: Any, key: Any) -> None:
        container, path = self._open[-1]
        if type(key) is not str:
            self._refuse(event, f"the key {event.value[:60] or '(nothing)'} is not text", "quote it")
        if key == "<<" and event.implicit[0]:
            self._refuse(event, "merge keys (<<) are not allowed", "write the values out")
        if key in container:
            first = self.lines[(*path, key)]
            self._refuse(event, f"duplicate key {key[:60]!r}, first on line {first}", "keep one of them")
        self._keys[-1] = key
        self.lines[(*path, key)] = event.start_mark.line + 1

    def _add(self, event: Any, value: Any) -> Place:
        """Put a value where it belongs; gives its place."""
        if not self._open:
            self.data = value
            return ()
        container, path = self._open[-1]
        if type(container) is list:
            path = (*path, len(container))
            self.lines[path] = event.start_mark.line + 1
            container.append(value)
            return path
        key = self._keys[-1]
        if key is None:
            self._refuse(event, "a key must be text, not a list or a mapping", "quote it")
        container[key] = value
        self._keys[-1] = None
        return (*path, key)

    def _start(self, event: Any, container: Any) -> None:
        if event.anchor is not None or event.tag is not None:
            self._refuse_marks(event)
        if len(self._open) >= MAX_DEPTH:
            self._refuse(event, f"nested deeper than {MAX_DEPTH} levels")
        place = self._add(event, container)
        self._open.append((container, place))
        self._keys.append(None)

    def _refuse_marks(self, event: Any) -> NoReturn:
        if event.anchor is not None:
            self._refuse(event, f"anchor &{event.anchor[:60]} is not allowed", "delete it")
        self._refuse(event, f"tag {event.tag[:60]} is not allowed", "delete it, or quote the whole text")

    def _refuse(self, event: Any, message: str, hint: str = "") -> NoReturn:
        raise self.error(f"{format_location(self.where, event.start_mark.line + 1)}: {message}", hint=hint)


class _Dumper(yaml.SafeDumper):
    """Indents the items of a list below its key, and knows double quotes only."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def choose_scalar_style(self) -> Any:
        style = super().choose_scalar_style()
        return '"' if style == "'" else style


def _node(value: Any, depth: int) -> yaml.Node:
    """The value as the library's node: mappings in block style, lists and what is in them on one line where they fit."""
    if isinstance(value, Mapping | list | tuple) and depth >= MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        pairs = [(_key(key), _node(item, depth + 1)) for key, item in value.items()]
        return yaml.MappingNode("tag:yaml.org,2002:map", pairs, flow_style=not pairs)
    if isinstance(value, list | tuple):
        items = [_node(item, depth + 1) for item in value]
        for item in items:
            if isinstance(item, yaml.CollectionNode):
                item.flow_style = _width(item) <= WIDTH
        mappings = any(isinstance(item, yaml.MappingNode) for item in items)
        node = yaml.SequenceNode("tag:yaml.org,2002:seq", items)
        node.flow_style = not mappings and _width(node) <= WIDTH
        return node
    if isinstance(value, str):
        return yaml.ScalarNode("tag:yaml.org,2002:str", value, style=_style(value))
    if value is None or isinstance(value, bool):
        return yaml.ScalarNode(f"tag:yaml.org,2002:{'null' if value is None else 'bool'}", _NAMES[value])
    if isinstance(value, int) and abs(value) < 10**20:
        return yaml.ScalarNode("tag:yaml.org,2002:int", str(int(value)))
    if isinstance(value, float) and math.isfinite(value):
        mantissa, mark, exponent = repr(float(value)).partition("e")
        # YAML 1.1 readers take 1e-05 for text; 1.0e-05 is a number to all.
        number = mantissa + (mark and ("" if "." in mantissa else ".0") + mark + exponent)
        return yaml.ScalarNode("tag:yaml.org,2002:float", number)
    raise ValueError(f"{value!r} can't be written as plain YAML")


def _key(key: Any) -> yaml.Node:
    if not isinstance(key, str):
        raise ValueError(f"the key {key!r} is not text")
    if len(key.encode()) > 1000:
        raise ValueError(f"the key {key[:40]!r}... is too long for YAML")
    return _node(key, 0)


def _width(node: Any) -> int:
    """Letters of a node on one line."""
    if isinstance(node, yaml.ScalarNode):
        return len(node.value) + 2
    parts = itertools.chain.from_iterable(node.value) if isinstance(node, yaml.MappingNode) else node.value
    return sum(map(_width, parts))


def _style(text: str) -> str | None:
    """How a text is written: as a block of lines, in quotes where a reader could take it for something else, or bare."""
    text.encode()  # half of a surrogate pair can't be written
    rows = text.removesuffix("\n").split("\n")
    if len(rows) > 1 and rows[0].strip() == rows[0] != "" != rows[-1] and all(map(_clean, rows)):
        return "|"
    if text.lower() in ("y", "n") or (text[:1] in _NUMBER_START and not any(map(str.isalpha, text))):
        return '"'
    try:
        return None if isinstance(parse_scalar(text), str) else '"'
    except ValueError:
        return '"'


def _clean(row: str) -> bool:
    return row.isprintable() and row == row.rstrip()
