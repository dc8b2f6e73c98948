"""What a disk may hold after a power cut: system calls of a process, replayed on a model of one.

strace tells what a process did to its files, and when it answered its clients.  The model keeps, of
each file and directory, what is certainly on the disk, and what was done since it was last synced.
At a cut the first remains, and of the second whatever chance leaves: nothing, all, or parts.

What counts as certain is what POSIX promises and no more: a file's bytes and its length after an
``fsync`` or ``fdatasync`` of it that began after they were written and returned 0; a name after one
of the directory that it is in.  File systems in use keep more, and in better order.

A sync may be made to fail.  Then what it should have written is gone at a cut, whatever is synced
later, unless it was written again: so Linux does it, which calls clean what it has given up (fsync
in its manual, "BUGS" of older ones; Rebello and others, "Can Applications Recover from fsync
Failures?", USENIX ATC 2020).
"""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration import clients
from tests.integration.daemon import Daemon

SECTOR = 512
"""Bytes that a disk writes whole or not at all."""

CHANGES = (
    "openat", "open", "creat", "mkdir", "mkdirat", "write", "pwrite64", "writev", "pwritev",
    "pwritev2", "ftruncate", "truncate", "fallocate", "rename", "renameat", "renameat2", "link",
    "linkat", "symlink", "unlink", "unlinkat", "rmdir", "copy_file_range", "splice", "sendfile",
)  # fmt: skip
"""Calls that change files.  The one that is not listed would show when the disks are compared."""

SYNCS = ("fsync", "fdatasync")
ANSWERS = ("sendto", "sendmsg")


def tracing(trace: Path, failing: str = "") -> list[str]:
    """The command that writes down what another one does, which stays the caller's own child.

    :param failing: a kind of sync, and which of its calls fails: ``fsync:when=3``, the third.
    """
    command = [
        str(clients.find("strace")),
        "-D", "-f", "-y", "-xx", "-s", "4000000", "-o", str(trace), "--seccomp-bpf",
        "-e", "trace=" + ",".join((*CHANGES, *SYNCS, *ANSWERS, "lseek")),
    ]  # fmt: skip
    if failing:
        command += ["-e", f"inject={failing}:error=EIO"]
    return command


class Traced(Daemon):
    """A server whose system calls are written down, from its first one to its last."""

    @property
    def trace(self) -> Path:
        return self.directory.with_name(self.directory.name + ".trace")

    def _spawn(
        self, command: Sequence[str], environment: Mapping[str, str], pass_fds: Sequence[int] = ()
    ) -> subprocess.Popen[str]:
        return super()._spawn([*tracing(self.trace), *command], environment, pass_fds)


# The trace


@dataclass(frozen=True)
class Call:
    """One system call, when it returned.

    :ivar file: the path of the first descriptor among its arguments.
    :ivar strings: those among its arguments: paths, or what is written.
    :ivar rest: its arguments without the strings.
    :ivar began: the number of calls that had returned when it began.
    """

    name: str
    file: str
    strings: tuple[bytes, ...] = field(repr=False)
    rest: str
    result: int
    began: int

    @property
    def descriptor(self) -> str:
        """The first among its arguments."""
        return self.rest.split("<", 1)[0]

    @property
    def data(self) -> bytes:
        """What was written."""
        return b"".join(self.strings)[: self.result]


_LINE = re.compile(r"(\d+) +(\w+)\((.*?)(?:\) += (-?\d+|\?).*| <unfinished \.\.\.>)$")
_RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*?)\) += (-?\d+|\?).*$")
_FILE = re.compile(r"(?:AT_FDCWD|\d+)<((?:[^>\\]|\\.)*)>")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_NUMBER = re.compile(r"\d+")


def calls(trace: Path) -> Iterator[Call]:
    """The calls of a trace, in the order in which they returned."""
    waiting: dict[str, tuple[str, str, int]] = {}
    count = 0
    with trace.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            if resumed := _RESUMED.match(line):
                process, name, rest, result = resumed.groups()
                name, arguments, began = waiting.pop(process)
                arguments += rest
            elif whole := _LINE.match(line):
                process, name, arguments, result = whole.groups()
                began = count
                if result is None:
                    waiting[process] = (name, arguments, began)
                    continue
            else:
                continue  # a signal, or an end
            if result != "?":
                count += 1
                yield _call(name, arguments, int(result), began)


def _call(name: str, arguments: str, result: int, began: int) -> Call:
    strings = tuple(_unescaped(text) for text in _STRING.findall(arguments))
    rest = _STRING.sub('""', arguments)
    found = _FILE.search(rest)
    return Call(
        name, os.fsdecode(_unescaped(found[1])) if found else "", strings, rest, result, began
    )


def _unescaped(text: str) -> bytes:
    """strace writes paths of descriptors as they are, or as it does all strings: in hex."""
    return bytes.fromhex(text.replace("\\x", "")) if text.startswith("\\x") else text.encode()


# The disk


@dataclass
class File:
    """:ivar since: what was done since it was last synced, each with the call that did it."""

    now: bytearray = field(default_factory=bytearray)
    synced: bytearray = field(default_factory=bytearray)
    since: list[tuple[int, int, bytes | None]] = field(default_factory=list)

    def change(self, number: int, offset: int, data: bytes | None) -> None:
        """Write ``data``; None: cut, or lengthen, to ``offset``."""
        _apply(self.now, offset, data)
        self.since.append((number, offset, data))

    def sync(self, before: int) -> None:
        """What was done by calls before that one is certain."""
        while self.since and self.since[0][0] < before:
            _, offset, data = self.since.pop(0)
            _apply(self.synced, offset, data)

    def lose(self, before: int) -> None:
        """What was done by calls before that one has been given up."""
        while self.since and self.since[0][0] < before:
            self.since.pop(0)

    def after_cut(self, dice: random.Random | None) -> bytes:
        content = bytearray(self.synced)
        if dice is None:
            return bytes(content)
        for _, offset, data in self.since:
            fate = dice.random()
            if fate < 0.4:
                continue
            if data and fate < 0.6:  # a part of it, to the end of a sector
                end = (offset + dice.randrange(len(data))) // SECTOR * SECTOR
                data = data[: max(0, end - offset)]
            _apply(content, offset, data)
        return bytes(content)


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
    content.extend(bytes(max(0, offset - len(content))))
    if data:
        content[offset : offset + len(data)] = data


@dataclass
class Directory:
    """:ivar since: as of a :class:`File`; each is the names that changed, all or none of them."""

    now: dict[str, Node] = field(default_factory=dict)
    synced: dict[str, Node] = field(default_factory=dict)
    since: list[tuple[int, dict[str, Node | None]]] = field(default_factory=list)

    def change(self, number: int, names: dict[str, Node | None]) -> None:
        _rename(self.now, names)
        self.since.append((number, names))

    def sync(self, before: int) -> None:
        while self.since and self.since[0][0] < before:
            _rename(self.synced, self.since.pop(0)[1])

    def lose(self, before: int) -> None:
        while self.since and self.since[0][0] < before:
            self.since.pop(0)

    def after_cut(self, dice: random.Random | None) -> dict[str, Node]:
        names = dict(self.synced)
        if dice is not None:  # directories are journaled: some of it, in order
            for _, change in self.since[: dice.randint(0, len(self.since))]:
                _rename(names, change)
        return names


Node = File | Directory


def _rename(names: dict[str, Node], change: dict[str, Node | None]) -> None:
    for name, node in change.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


class Disk:
    """All below one directory, which is empty and durable at the beginning.

    :param heeds_syncs: False for a disk that lies.
    """

    def __init__(self, root: Path, heeds_syncs: bool = True) -> None:
        self._root = str(root)
        self._heeds_syncs = heeds_syncs
        self._positions: dict[str, int] = {}
        self._number = self._before = 0
        self.tree = Directory()

    def next_trace(self) -> None:
        """What follows is the trace of another process, which began when the last one had ended."""
        self._before = self._number
        self._positions.clear()

    def replay(self, call: Call) -> None:
        """What a call did, if it did anything here."""
        self._number += 1
        if call.name in SYNCS:
            node = self._node(call.file)
            if node is not None and call.result < 0:
                node.lose(self._before + call.began + 1)
            elif node is not None and self._heeds_syncs:
                node.sync(self._before + call.began + 1)
            return
        if call.result < 0:
            return
        if call.name in CHANGES or call.name == "lseek":
            getattr(self, f"_{call.name}", self._unknown)(call)

    def _unknown(self, call: Call) -> None:
        for path in (call.file, *map(os.fsdecode, call.strings[:2])):
            assert self._place(path) is None, f"not understood: {call}"

    def _place(self, path: str, at: str = "") -> tuple[Directory, str] | None:
        """The directory and the name of a path below the root; None: it lies elsewhere."""
        full = os.path.normpath(os.path.join(at or self._root, path))
        if not full.startswith(self._root + "/"):
            return None
        *parents, name = full[len(self._root) + 1 :].split("/")
        directory = self.tree
        for parent in parents:
            below = directory.now.get(parent)
            if not isinstance(below, Directory):
                return None
            directory = below
        return directory, name

    def _node(self, path: str) -> Node | None:
        if path == self._root:
            return self.tree
        place = self._place(path)
        return None if place is None else place[0].now.get(place[1])

    def _file(self, call: Call) -> File | None:
        node = self._node(call.file)
        return node if isinstance(node, File) else None

    def _named(self, call: Call) -> tuple[Directory, str] | None:
        return self._place(os.fsdecode(call.strings[0]), call.file)

    def _openat(self, call: Call) -> None:
        place = self._named(call)
        self._positions[str(call.result)] = 0
        if place is None:
            return
        directory, name = place
        if "O_CREAT" in call.rest and name not in directory.now:
            directory.change(self._number, {name: File()})
        node = directory.now.get(name)
        if "O_TRUNC" in call.rest and isinstance(node, File) and node.now:
            node.change(self._number, 0, None)

    def _mkdir(self, call: Call) -> None:
        if (place := self._named(call)) is not None:
            place[0].change(self._number, {place[1]: Directory()})

    def _unlink(self, call: Call) -> None:
        if (place := self._named(call)) is not None:
            place[0].change(self._number, {place[1]: None})

    _mkdirat = _mkdir
    _unlinkat = _rmdir = _unlink

    def _rename(self, call: Call) -> None:
        old, new = (self._place(os.fsdecode(path)) for path in call.strings)
        if old is None or new is None:
            assert old is new, call
            return
        assert old[0] is new[0], "between directories a rename is two changes"
        node = old[0].now[old[1]]
        old[0].change(self._number, {old[1]: None, new[1]: node})

    def _lseek(self, call: Call) -> None:
        self._positions[call.descriptor] = call.result

    def _write(self, call: Call) -> None:
        position = self._positions.get(call.descriptor, 0)
        if (file := self._file(call)) is not None:
            file.change(self._number, position, call.data)
        self._positions[call.descriptor] = position + call.result

    _writev = _write

    def _pwrite64(self, call: Call) -> None:
        if (file := self._file(call)) is not None:
            file.change(self._number, int(call.rest.split(", ")[-1]), call.data)

    _pwritev = _pwrite64

    def _pwritev2(self, call: Call) -> None:
        if (file := self._file(call)) is not None:
            file.change(self._number, int(call.rest.split(", ")[-2]), call.data)

    def _ftruncate(self, call: Call) -> None:
        if (file := self._file(call)) is not None:
            file.change(self._number, int(call.rest.split(", ")[-1]), None)

    def contents(self, dice: random.Random | None = None, cut: bool = False) -> dict[str, bytes]:
        """Files by path below the root: as they are, or as a cut leaves them.

        :param dice: what decides about all that is not certain; None: nothing of it remains.
        """
        return dict(_walk(self.tree, "", dice, cut))

    def write_to(self, target: Path, dice: random.Random | None) -> None:
        """Make a directory of what a cut leaves."""
        for path, content in self.contents(dice, cut=True).items():
            file = target / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)


def _walk(
    directory: Directory, path: str, dice: random.Random | None, cut: bool
) -> Iterator[tuple[str, bytes]]:
    names = directory.after_cut(dice) if cut else directory.now
    for name, node in names.items():
        if isinstance(node, Directory):
            yield from _walk(node, f"{path}{name}/", dice, cut)
        else:
            yield path + name, node.after_cut(dice) if cut else bytes(node.now)
