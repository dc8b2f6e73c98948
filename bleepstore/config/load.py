"""Make a configuration out of its sources, and say everything that is wrong with it at once."""

from __future__ import annotations

import os
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from msgspec import NODEFAULT

from bleepstore.config import refusals
from bleepstore.config.problems import ConfigError
from bleepstore.config.schema import Declared, Section, declared, is_section
from bleepstore.config.sections import Config
from bleepstore.config.sources import (
    Given,
    Tree,
    from_environment,
    from_file,
    from_yaml,
    merge,
    put,
    with_origin,
)

DEFAULT_FILE = "bleepstore.yaml"
"""Read from the working directory when no file is named, if it is there."""

S = TypeVar("S", bound=Section)

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_WRONG = object()


def load(
    file: str | None = None,
    environ: Mapping[str, str] | None = None,
    options: Mapping[str, str] | None = None,
    directory: str = ".",
) -> Config:
    """The configuration: defaults, then the file, then the environment, then options.

    :param file: a YAML file; None: ``bleepstore.yaml`` in ``directory`` where one lies there.
    :param environ: environment variables; others than ours are ignored.
    :param options: dotted key → text, e.g. ``{"server.port": "9001"}``.
    :param directory: the working directory.
    :raises ConfigError: with every problem found.
    """
    problems: list[str] = []
    tree = Given({}, "defaults")
    if file is not None:
        tree = merge(tree, from_file(Path(directory, file) if directory != "." else Path(file)))
    elif os.path.lexists(found := Path(directory, DEFAULT_FILE)):
        tree = merge(tree, from_file(found))
    if not isinstance(tree.value, dict):
        raise ConfigError([f"{tree.origin}: must be sections and keys, not {_kind(tree.value)}"])
    tree = merge(tree, from_environment(environ or {}))
    given_options: Tree = {}
    for path, text in (options or {}).items():
        key = tuple(path.split("."))
        option = "--" + key[-1].replace("_", "-")
        put(given_options, key, Given(text, option, is_text=True))
    tree = merge(tree, Given(given_options, "options"))
    reader = _Reader(problems)
    config = reader.section(Config, tree, "")
    if problems:
        raise ConfigError(problems)
    problems.extend(refusals.problems(config, reader.origins))
    if problems:
        raise ConfigError(problems)
    return config


class _Reader:
    """Reads typed values from a tree of given ones, collecting problems.

    :ivar origins: where each setting was given, by dotted key.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        self.origins: dict[str, str] = {}

    def section(self, kind: type[S], given: Given, path: str) -> S:
        """A section; where it is wrong, with defaults in place of the wrong values."""
        known = declared(kind)
        tree = given.value
        if given.is_text:
            tree = self._yaml(given, path)
            if tree is _WRONG:
                tree = {}
        if tree is None:  # all its keys are commented out
            tree = {}
        if not isinstance(tree, dict):
            self._wrong(given, path, f"must be a section with keys, not {_kind(tree)}")
            tree = {}
        values: dict[str, Any] = {}
        for name, below in tree.items():
            dotted = f"{path}.{name}" if path else name
            field = known.get(name)
            if field is None:
                hint = _nearest(name, list(known), path)
                self.problems.append(f"{below.origin}: {dotted}: unknown key{hint}")
                continue
            self.origins[dotted] = below.origin
            value = self._value(field, below, dotted)
            if value is not _WRONG:
                values[name] = value
        for name, field in known.items():
            if field.default is NODEFAULT and name not in values:
                if name not in tree:
                    self._wrong(given, path, f"lacks the key {name}")
                values[name] = ""
        return kind(**values)

    def _value(self, field: Declared, given: Given, path: str) -> Any:
        kind = field.type
        if is_section(kind):
            return self.section(kind, given, path)
        if get_origin(kind) is tuple:
            return self._list(field, get_args(kind)[0], given, path)
        if given.value is None:
            return self._wrong(given, path, "has no value; leave the key out for the default")
        expected, value = _scalar(kind, given)
        if value is _WRONG:
            shown = "" if field.setting.secret else f", not {_shown(given)}"
            return self._wrong(given, path, f"must be {expected}{shown}")
        return self._within(field, value, given, path)

    def _within(self, field: Declared, value: Any, given: Given, path: str) -> Any:
        least, most = field.setting.least, field.setting.most
        if isinstance(value, str):
            if least and not value and field.type is str:
                return self._wrong(given, path, "must not be empty")
            if field.type is str and not value.isprintable():
                return self._wrong(given, path, "must not have control characters")
            return value
        if isinstance(value, bool):
            return value
        # "not >=" rather than "<": a NaN is refused too
        if least is not None and not value >= least:
            return self._wrong(given, path, f"must be at least {least:.15g}, not {_shown(given)}")
        if most is not None and not value <= most:
            return self._wrong(given, path, f"must be at most {most:.15g}, not {_shown(given)}")
        return value

    def _list(self, field: Declared, item_kind: Any, given: Given, path: str) -> Any:
        items = self._yaml(given, path) if given.is_text else given.value
        if items is _WRONG:
            return _WRONG
        if items is None:
            items = []
        if not isinstance(items, list):
            return self._wrong(given, path, f"must be a list, not {_kind(items)}")
        values = []
        for number, item in enumerate(items):
            dotted = f"{path}[{number}]"
            if is_section(item_kind):
                values.append(self.section(item_kind, item, dotted))
                continue
            expected, value = _scalar(item_kind, item)
            if value is _WRONG or not value:
                self._wrong(item, dotted, f"must be {expected}, not {_shown(item)}")
            else:
                values.append(value)
        return tuple(values)

    def _yaml(self, given: Given, path: str) -> Any:
        """The value of an environment variable that holds a list or a section, as YAML."""
        try:
            return with_origin(from_yaml(str(given.value), given.origin), given.origin).value
        except ConfigError as error:
            reason = error.problems[0].partition(": ")[2]
            return self._wrong(given, path, reason)

    def _wrong(self, given: Given, path: str, sentence: str) -> Any:
        self.problems.append(f"{given.origin}: {path + ': ' if path else ''}{sentence}")
        return _WRONG


def _scalar(kind: Any, given: Given) -> tuple[str, Any]:
    """What is expected, and the value as that or ``_WRONG``."""
    value = given.value
    if get_origin(kind) in (Union, types.UnionType):
        names, result = [], _WRONG
        for member in get_args(kind):
            expected, tried = _scalar(member, given)
            names.append(expected)
            if result is _WRONG:
                result = tried
        return " or ".join(names), result
    if get_origin(kind) is Literal:
        words = get_args(kind)
        expected = words[0] if len(words) == 1 else f"one of {', '.join(words)}"
        return expected, value if value in words else _WRONG
    if kind is str:
        return "text (put it in quotes)", value if isinstance(value, str) else _WRONG
    if kind is bool:
        if given.is_text and isinstance(value, str):
            word = value.strip().lower()
            value = True if word in _TRUE else False if word in _FALSE else _WRONG
        return "true or false", value if isinstance(value, bool) else _WRONG
    number: Any = value
    expected = "a whole number" if kind is int else "a number"
    if given.is_text and isinstance(value, str):
        try:
            number = int(value) if kind is int else float(value)
        except ValueError:
            return expected, _WRONG
    if isinstance(number, bool) or not isinstance(number, (int,) if kind is int else (int, float)):
        return expected, _WRONG
    return expected, number


def _shown(given: Given) -> str:
    if isinstance(given.value, dict | list) or given.value is None:
        return _kind(given.value)
    return repr(given.value)


def _kind(value: object) -> str:
    if isinstance(value, dict):
        return "a section"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    return "text" if isinstance(value, str) else "a single value"  # not itself: may be a secret


def _nearest(name: str, known: list[str], path: str) -> str:
    from difflib import get_close_matches  # only a mistake needs it

    close = get_close_matches(name, known, n=1, cutoff=0.6)
    if not close:
        return f"; known here: {', '.join(known)}"
    return f"; did you mean {path + '.' if path else ''}{close[0]}?"
