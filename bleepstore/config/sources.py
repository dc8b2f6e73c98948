"""Where settings come from: a YAML file with its lines, the environment, and options.

Each source is turned into the same tree, in which every value remembers where it was given.
Knows no setting by name but the two short environment variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bleepstore.config.problems import ConfigError

PREFIX = "BLEEPSTORE__"

SHORT_VARIABLES = {
    "BLEEPSTORE_ACCESS_KEY": ("auth", "access_key"),
    "BLEEPSTORE_SECRET_KEY": ("auth", "secret_key"),
}
"""They win over ``BLEEPSTORE__AUTH__ACCESS_KEY`` and ``…SECRET_KEY``.  No other variable with one
underscore means anything: Kubernetes sets BLEEPSTORE_PORT and more for a service of that name."""


class Given(NamedTuple):
    """A value and where it was given.

    :ivar value: a scalar, a list of Given, or a dict of name → Given.
    :ivar origin: for error messages, e.g. ``bleepstore.yaml:12``.
    :ivar is_text: the value is text that stands for a value of any type (environment, option).
    """

    value: object
    origin: str
    is_text: bool = False


Tree = dict[str, Given]


def from_file(path: Path) -> Given:
    """Read a YAML file.

    :raises ConfigError: it cannot be read, is not YAML, or has a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: is not UTF-8"]) from None
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    return from_yaml(text, str(path))


def from_yaml(text: str, name: str) -> Given:
    """Read YAML text, remembering lines as ``name:line``.

    :raises ConfigError: it is not YAML, or has a key twice.
    """
    import yaml  # takes 15 ms, which a start without a file need not pay

    problems: list[str] = []
    try:
        loader = yaml.SafeLoader(text)
    except yaml.YAMLError as error:
        raise ConfigError([f"{name}: is not YAML: {' '.join(str(error).split())}"]) from None

    def given(node: yaml.Node, within: tuple[yaml.Node, ...]) -> Given:
        origin = f"{name}:{node.start_mark.line + 1}"
        if node in within:
            problems.append(f"{origin}: an alias that contains itself")
            return Given(None, origin)
        if isinstance(node, yaml.MappingNode):
            tree: Tree = {}
            for key_node, value_node in node.value:
                where = f"{name}:{key_node.start_mark.line + 1}"
                if not isinstance(key_node, yaml.ScalarNode):
                    problems.append(f"{where}: a key must be a word")
                    continue
                key = str(key_node.value)
                if key in tree:
                    problems.append(f"{where}: {key}: given twice")
                value = given(value_node, (*within, node))
                tree[key] = value._replace(origin=where)
            return Given(tree, origin)
        if isinstance(node, yaml.SequenceNode):
            return Given([given(item, (*within, node)) for item in node.value], origin)
        try:
            scalar = loader.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            problems.append(f"{origin}: {error}")
            scalar = None
        return Given(scalar, origin)

    try:
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise ConfigError([f"{name}:{line}: is not YAML: {error.problem}"]) from None
    finally:
        loader.dispose()
    tree = Given({}, f"{name}:1") if root is None else given(root, ())
    if problems:
        raise ConfigError(problems)
    return tree


def from_environment(environ: Mapping[str, str]) -> Given:
    """``BLEEPSTORE__SECTION__KEY`` for any key, and the two short names."""
    tree: Tree = {}
    for name in sorted(environ):
        if name.startswith(PREFIX):
            path = name.removeprefix(PREFIX).lower().split("__")
            put(tree, tuple(path), Given(environ[name], name, is_text=True))
    for name, short in SHORT_VARIABLES.items():
        if name in environ:
            put(tree, short, Given(environ[name], name, is_text=True))
    return Given(tree, "the environment")


def put(tree: Tree, path: tuple[str, ...], given: Given) -> None:
    """Set a value in a tree.

    :raises ConfigError: part of the path has a value of its own already.
    """
    *sections, key = path
    for section in sections:
        below = tree.setdefault(section, Given({}, given.origin))
        if not isinstance(below.value, dict):
            raise ConfigError([f"{given.origin}: {below.origin} sets the whole section already"])
        tree = below.value
    tree[key] = given


def merge(lower: Given, upper: Given) -> Given:
    """Both trees; where both have a value the upper one's counts.  Lists are not joined.

    :raises ConfigError: one has a key of what is no section in the other.
    """
    if isinstance(upper.value, dict):
        lower = _opened(lower)
    elif isinstance(lower.value, dict):
        upper = _opened(upper)
    if upper.value is None and not upper.is_text:
        return lower  # an empty section of a file ("server:" with nothing below) hides nothing
    if not isinstance(lower.value, dict) or not isinstance(upper.value, dict):
        if isinstance(upper.value, dict) and lower.value is not None:
            advice = f"is no section with keys, of which {upper.origin} sets one"
            raise ConfigError([f"{lower.origin}: {advice}"])
        return upper
    joined: Tree = dict(lower.value)
    for key, given in upper.value.items():
        joined[key] = merge(joined[key], given) if key in joined else given
    return Given(joined, upper.origin)


def _opened(given: Given) -> Given:
    """A section that is given as text, as one of keys; all else as it is."""
    if not given.is_text:
        return given
    try:
        section = with_origin(from_yaml(str(given.value), given.origin), given.origin)
    except ConfigError:
        return given  # whoever reads it says what is wrong
    return section if isinstance(section.value, dict) else given


def with_origin(given: Given, origin: str) -> Given:
    """All of a tree under one origin: lines mean nothing inside an environment variable."""
    value = given.value
    if isinstance(value, dict):
        value = {key: with_origin(below, origin) for key, below in value.items()}
    elif isinstance(value, list):
        value = [with_origin(below, origin) for below in value]
    return Given(value, origin)
