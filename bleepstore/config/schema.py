"""How a setting is declared: its type, its default, what it means and what it may be.

A section is a frozen struct whose fields are annotated ``Annotated[type, Setting("…")]``.  The
loader, the documentation and the redacted view all read these declarations; there is no second
list of settings anywhere.

The types a setting may have: ``str``, ``int``, ``float``, ``bool``, a ``Literal``, ``int`` or one
word (``int | Literal["auto"]``), a tuple of ``str`` or of sections, and a section.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

from msgspec import NODEFAULT, Struct
from msgspec.structs import fields


class Setting(NamedTuple):
    """What is known of a setting beside its type and default.

    :ivar doc: one or two sentences for docs/configuration.md, with the unit.
    :ivar least: smallest number allowed; for text 1 means that it must not be empty.
    :ivar most: largest number allowed.
    :ivar secret: never shown: not in an error, a log, or the redacted view.
    """

    doc: str
    least: float | None = None
    most: float | None = None
    secret: bool = False


class Section(Struct, frozen=True, kw_only=True):
    """The base of all sections.  Its repr shows no secret."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({redacted(self)!r})"


class Declared(NamedTuple):
    """A field of a section as it was declared.

    :ivar type: without its Annotated.
    :ivar default: ``msgspec.NODEFAULT`` where a value must be given.
    """

    name: str
    type: Any
    setting: Setting
    default: Any


@cache
def declared(section: type[Section]) -> dict[str, Declared]:
    """The fields of a section by name, in order.

    :raises TypeError: a field was declared without a Setting.
    """
    hints = get_type_hints(section, include_extras=True)
    found: dict[str, Declared] = {}
    for field in fields(section):
        hint = hints[field.name]
        if get_origin(hint) is not Annotated:
            raise TypeError(f"{section.__name__}.{field.name} has no Setting")
        kind, setting = get_args(hint)
        default = field.default
        if field.default_factory is not NODEFAULT:
            default = field.default_factory()
        found[field.name] = Declared(field.name, kind, setting, default)
    return found


def is_section(kind: Any) -> bool:
    """Whether a setting of this type is a section of its own."""
    return isinstance(kind, type) and issubclass(kind, Section)


def redacted(section: Section) -> dict[str, object]:
    """The section as plain data, with ``"REDACTED"`` for every secret that is set."""
    shown: dict[str, object] = {}
    for name, field in declared(type(section)).items():
        value = getattr(section, name)
        if field.setting.secret:
            shown[name] = "REDACTED" if value else ""
        elif isinstance(value, Section):
            shown[name] = redacted(value)
        elif isinstance(value, tuple):
            shown[name] = [redacted(v) if isinstance(v, Section) else v for v in value]
        else:
            shown[name] = value
    return shown
