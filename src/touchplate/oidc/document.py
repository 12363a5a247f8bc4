"""A settings file in YAML, or in JSON, as a tree whose nodes know their line.

YAML goes through PyYAML's safe reader within limits that also bound what aliases expand to; values
stay texts, as the structs of Go that upstream reads them into take them. JSON is tried first.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import yaml

from touchplate.errors import MalformedError, SettingsError
from touchplate.formats.jsontext import parse_json_value

MAX_FILE: Final = 256 * 1024
MAX_DEPTH: Final = 16
MAX_NODES: Final = 20_000  # after aliases are expanded

_CORE: Final = "tag:yaml.org,2002:"
_PLAIN: Final = frozenset({"str", "int", "float", "bool", "null", "timestamp", "value"})
_MERGE: Final = _CORE + "merge"


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands: members by name, items, a text, or None for null."""

    where: str
    line: int
    value: "Mapping[str, Node] | tuple[Node, ...] | str | None"
    # Written as true or false, or what YAML 1.1 takes for that.
    flag: bool | None = None

    def members(self) -> "Mapping[str, Node]":
        """Give the members of a mapping; none if it is null (SETTINGS_INVALID)."""
        if self.value is None:
            return {}
        if isinstance(self.value, tuple | str):
            raise self.refuse("this is no mapping")
        return self.value

    def text(self) -> str:
        """Give a scalar as it is written, empty if it is null (SETTINGS_INVALID)."""
        if self.value is None:
            return ""
        if not isinstance(self.value, str):
            raise self.refuse("this is no text")
        return self.value

    def boolean(self) -> bool:
        """Give true or false; null is false (SETTINGS_INVALID)."""
        if self.value is None:
            return False
        if self.flag is None:
            raise self.refuse("this is neither true nor false")
        return self.flag

    def refuse(self, reason: str) -> SettingsError:
        """Make the error for this node: file, line and reason."""
        return _refused(self.where, self.line, reason)

    def at(self, reason: str) -> str:
        """Say something about this node that is no error."""
        return f"{self.where}, line {self.line}: {reason}"


def parse_document(content: bytes, where: str) -> tuple[Node, bool]:
    """Read a file of at most 256 KiB; also say whether it is JSON.

    `where` names the file in errors: SETTINGS_INVALID, with the line.
    """
    if len(content) > MAX_FILE:
        raise SettingsError("SETTINGS_INVALID", f"{where} is longer than {MAX_FILE} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _refused(where, line, "this is not UTF-8") from error
    if text.lstrip().startswith("{"):
        try:
            value = parse_json_value(text, what="file", max_bytes=MAX_FILE, max_values=MAX_NODES)
        except MalformedError as error:
            if error.code == "LIMIT_EXCEEDED":
                raise SettingsError("SETTINGS_INVALID", f"{where}: {error}") from error
        else:
            return _JsonReader(text, where).read(value), True
    return _read_yaml(text, where), False


class _JsonReader:
    """Makes nodes of what was read from JSON; lines are those of the names, in their order."""

    def __init__(self, text: str, where: str) -> None:
        self._text = text
        self._where = where
        self._at = 0

    def read(self, value: object) -> Node:
        line = self._text.count("\n", 0, self._at) + 1
        if isinstance(value, dict):
            members = {}
            for name, each in value.items():
                found = self._text.find(json.dumps(name, ensure_ascii=False), self._at)
                self._at = max(self._at, found)
                members[name] = self.read(each)
            return Node(self._where, line, members)
        if isinstance(value, list):
            return Node(self._where, line, tuple(map(self.read, value)))
        if isinstance(value, bool):
            # Go takes a text for a text, and nothing else.
            return Node(self._where, line, (), flag=value)
        if value is None or isinstance(value, str):
            return Node(self._where, line, value)
        return Node(self._where, line, ())


def _read_yaml(text: str, where: str) -> Node:
    try:
        _check_events(yaml.parse(text, Loader=yaml.SafeLoader), where)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise _refused(where, line, f"this is no YAML: {error.problem}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _refused(where, line, f"this is no YAML: {error.reason}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise _refused(where, 1, f"this is no YAML: {error}") from error
    if root is None:
        return Node(where, 1, None)
    return _YamlReader(where).read(root, 0)


def _check_events(events: Iterator[yaml.Event], where: str) -> None:
    """Hold the text to the limits before a tree is made of it, which recurses."""
    depth = documents = 0
    for count, event in enumerate(events, start=1):
        line = 1 + (event.start_mark.line if event.start_mark else 0)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        if depth > MAX_DEPTH:
            raise _refused(where, line, f"nested deeper than {MAX_DEPTH} levels")
        if count > 2 * MAX_NODES:
            raise _refused(where, line, f"more than {MAX_NODES} values")
        if documents > 1:
            raise _refused(where, line, "a second document begins; a file has one")


class _YamlReader:
    """Makes nodes of PyYAML's, expanding aliases within the limits."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._left = MAX_NODES

    def read(self, node: yaml.Node, depth: int) -> Node:
        line = node.start_mark.line + 1
        self._left -= 1
        if self._left < 0:
            raise _refused(self._where, line, f"more than {MAX_NODES} values with all aliases")
        if depth > MAX_DEPTH:  # with aliases: an anchor inside itself, too
            raise _refused(self._where, line, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(node, yaml.MappingNode) and node.tag == _CORE + "map":
            return Node(self._where, line, self._mapping(node, depth))
        if isinstance(node, yaml.SequenceNode) and node.tag == _CORE + "seq":
            items = tuple(self.read(each, depth + 1) for each in node.value)
            return Node(self._where, line, items)
        kind = node.tag.removeprefix(_CORE)
        if not isinstance(node, yaml.ScalarNode) or kind not in _PLAIN:
            raise _refused(self._where, line, f"the tag {node.tag!r} is not supported")
        if kind == "null":
            return Node(self._where, line, None)
        flag = yaml.SafeLoader.bool_values.get(node.value.lower()) if kind == "bool" else None
        return Node(self._where, line, node.value, flag)

    def _mapping(self, node: yaml.MappingNode, depth: int) -> dict[str, Node]:
        members: dict[str, Node] = {}
        merged: list[tuple[str, Node]] = []
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag == _MERGE:
                merged += self._merged(value, depth)
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise _refused(self._where, line, "a name is no text")
            if key.value in members:
                raise _refused(self._where, line, f"{key.value!r} is there twice")
            found = self.read(value, depth + 1)
            # The line of the name: an alias has the line of what it stands for.
            members[key.value] = Node(self._where, line, found.value, found.flag)
        for name, each in merged:
            members.setdefault(name, each)
        return members

    def _merged(self, value: yaml.Node, depth: int) -> list[tuple[str, Node]]:
        parts = value.value if isinstance(value, yaml.SequenceNode) else [value]
        found: list[tuple[str, Node]] = []
        for part in parts:
            if not isinstance(part, yaml.MappingNode):
                line = part.start_mark.line + 1
                raise _refused(self._where, line, "only mappings can be merged")
            found += self.read(part, depth + 1).members().items()
        return found


def _refused(where: str, line: int, reason: str) -> SettingsError:
    return SettingsError("SETTINGS_INVALID", f"{where}, line {line}: {reason}")
