"""XML of clients → a small immutable tree, on expat, with nothing that XML can be abused for.

No document type, hence no entities but the five and character references, nothing external; bounded
depth, number of elements and attributes, and length of each tag with the text behind it.  The
caller bounds the size.  Namespaces are accepted and dropped: S3 takes its own, none, and others
alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.parsers import expat

from msgspec import Struct

from bleepstore.errors import MalformedXML

MAX_BODY = 1024 * 1024
"""Bytes of an XML body that a caller should take."""

MAX_COMPLETE_BODY = 4 * 1024 * 1024
"""The same for CompleteMultipartUpload, whose 10,000 parts with checksums need more than 1 MiB."""

MAX_DEPTH = 8
MAX_ELEMENTS = 100_000

MAX_PIECE = 16 * 1024
"""Bytes of a tag with the text behind it: expat reads a tag with all its attributes before it can
be stopped, and they cost more than anything else.  A key of 1,024 bytes has some 7,000 at most, as
character references."""

# No tag has "<" in it, not even in an attribute (XML 1.0, section 3.1).
_PIECES = re.compile(rb"(?:[^<]{0,%d}+<)*+[^<]{0,%d}+" % (MAX_PIECE, MAX_PIECE))


class Element(Struct, frozen=True):
    """An element without its namespace.

    :ivar text: its own character data; for an element with children usually blanks.
    :ivar attributes: local name → value.
    """

    name: str
    text: str
    children: tuple[Element, ...]
    attributes: Mapping[str, str]


def parse_xml(body: bytes, root: str, elements: int = MAX_ELEMENTS) -> Element:
    """Read a document.

    :param root: the local name its root must have.
    :param elements: how many there may be, with their attributes: each costs more than a
        microsecond, and documents are read before their requests are authorised.
    :raises MalformedXML: not well-formed XML in UTF-8 or UTF-16, a document type, too deep, too
        many elements, too long a tag, another root.
    """
    if len(body) > MAX_PIECE and _PIECES.fullmatch(body) is None:
        raise MalformedXML
    builder = _Builder(elements)
    # The encoding is fixed (a byte order mark may still say UTF-16): whatever a declaration
    # says, no codec of Python is ever looked up.
    parser = expat.ParserCreate("utf-8", namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.doctype
    try:
        parser.Parse(body, True)
    except expat.ExpatError:
        raise MalformedXML from None
    element = builder.root
    if element is None or element.name != root:
        raise MalformedXML
    return element


class _Builder:
    """Collects expat's events; an exception in a handler ends the parse."""

    def __init__(self, elements: int) -> None:
        self.root: Element | None = None
        self._left = elements
        self._open: list[tuple[str, list[str], list[Element], dict[str, str]]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._left -= 1 + len(attributes)
        if self._left < 0 or len(self._open) >= MAX_DEPTH:
            raise MalformedXML
        if attributes:
            attributes = {key.rpartition(" ")[2]: value for key, value in attributes.items()}
        self._open.append((name.rpartition(" ")[2], [], [], attributes))

    def end(self, _name: str) -> None:
        name, text, children, attributes = self._open.pop()
        element = Element(name, "".join(text), tuple(children), attributes)
        if self._open:
            self._open[-1][2].append(element)
        else:
            self.root = element

    def text(self, data: str) -> None:
        self._open[-1][1].append(data)

    def doctype(self, *_declaration: object) -> None:
        raise MalformedXML


def members(element: Element, allowed: frozenset[str]) -> dict[str, Element]:
    """The children of an element by name, each at most once, and no text between them.

    Unknown children are refused rather than skipped: a condition that is not understood must
    not be dropped.

    :raises MalformedXML: an unknown or repeated child, or text.
    """
    require_no_text(element)
    found: dict[str, Element] = {}
    for child in element.children:
        if child.name not in allowed or child.name in found:
            raise MalformedXML
        found[child.name] = child
    return found


def require_no_text(element: Element) -> None:
    """:raises MalformedXML: there is more than blanks between the children."""
    if element.text and not element.text.isspace():
        raise MalformedXML


def text_content(element: Element) -> str:
    """The text of an element without children, blanks kept.

    :raises MalformedXML: it has children.
    """
    if element.children:
        raise MalformedXML
    return element.text
