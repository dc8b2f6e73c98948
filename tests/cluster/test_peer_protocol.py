"""docs/peer-protocol.md says what the code does, and the bytes of version 1 never change."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from twisted.protocols import amp

from bleepstore.cluster import peer_commands
from bleepstore.cluster.peer_boxes import BoxReader
from bleepstore.cluster.peer_commands import CALLS, MESSAGES
from bleepstore.cluster.plausibility import message_of
from bleepstore.raft import messages
from tests.cluster.peer_vectors import PAIRS, frozen, vectors

DOCUMENT = (Path(__file__).parents[2] / "docs" / "peer-protocol.md").read_text()
COMMANDS = {
    value.__name__: value
    for value in vars(peer_commands).values()
    if isinstance(value, type) and issubclass(value, amp.Command)
}
FROZEN = frozen()


def section(name: str) -> str:
    found = re.search(rf"^### {name}\n(.*?)(?=^##|\Z)", DOCUMENT, re.M | re.S)
    assert found, f"{name} is not described"
    return found.group(1)


def table(text: str, head: str) -> list[tuple[str, str]]:
    found = re.search(rf"^\| {head} \|.*\n\|[-|]*\n((?:\|.*\n)*)", text, re.M)
    if not found:
        return []
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in found[1].splitlines()]
    return [(row[0].strip("`"), row[1]) for row in rows]


def declared(schema: list[tuple[bytes, amp.Argument]]) -> list[tuple[str, str]]:
    return [(name.decode(), type(argument).__name__) for name, argument in schema]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_described_as_it_is(name: str) -> None:
    command, text = COMMANDS[name], section(name)
    assert command.commandName == name.encode()
    assert table(text, "argument") == declared(command.arguments)
    assert table(text, "response") == declared(command.response)
    errors = {**command.errors, **command.fatalErrors}
    assert [code for code, _ in table(text, "error")] == [e.decode() for e in errors.values()]


def test_nothing_is_described_that_is_not_there() -> None:
    described = set(re.findall(r"^### (\w+)$", DOCUMENT, re.M))
    assert described == set(COMMANDS)


def test_the_answers_of_messages_are_described_as_they_are() -> None:
    answers = {
        call.command.__name__: "none" if call.answer is None else f"`{call.answer.__name__}`"
        for call in CALLS.values()
    }
    assert dict(table(DOCUMENT, "command")) == answers


def test_the_bytes_are_those_of_version_1() -> None:
    assert vectors() == FROZEN


def test_every_command_has_its_bytes() -> None:
    named = {box[b"_command"].decode() for each in FROZEN for box in read(each["call"])}
    assert named == set(COMMANDS)


def read(raw: str) -> list[Any]:
    boxes: list[Any] = []
    BoxReader(boxes.append, 1 << 20).feed(bytes.fromhex(raw))
    return boxes


@pytest.mark.parametrize("held", FROZEN, ids=lambda each: each["name"])
def test_twisted_reads_the_same(held: dict[str, str]) -> None:
    for raw in filter(None, (held["call"], held.get("answer"))):
        assert amp.parseString(bytes.fromhex(raw)) == read(raw)
    (box,) = read(held["call"])
    command = COMMANDS[box[b"_command"].decode()]
    command.parseArguments(amp.Box(box), None)
    if "answer" in held and "refused" not in held["name"]:
        (answer,) = read(held["answer"])
        assert answer[b"_answer"] == box[b"_ask"]
        command.parseResponse(amp.Box(answer), None)


@pytest.mark.parametrize(("name", "request_", "answer"), PAIRS, ids=[pair[0] for pair in PAIRS])
def test_frozen_messages_are_understood(
    name: str, request_: messages.Message, answer: messages.Message | None
) -> None:
    (held,) = [each for each in FROZEN if each["name"] == name]
    (call,), (response,) = read(held["call"]), read(held["answer"])
    command = COMMANDS[call[b"_command"].decode()]
    assert MESSAGES[call[b"_command"]] is type(request_)
    assert message_of(command.parseArguments(amp.Box(call), None)["body"]) == request_
    body = command.parseResponse(amp.Box(response), None)["body"]
    assert (body if body is None else message_of(body)) == answer
