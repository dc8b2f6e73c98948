"""docs/s3-compatibility.md, generated from the table of operations."""

from __future__ import annotations

from bleepstore.wire.operations import OPERATIONS, TEMPLATES, Level, Operation

_HEAD = """\
# S3 compatibility

<!-- Generated from bleepstore/wire/operations.py by bleepstore.wire.compatibility. -->

BleepStore knows every operation of the S3 API by name and serves {served} of {total}. The others
answer `501 NotImplemented` and touch nothing; so does a request with a header that asks for
something that is not there (server-side encryption, tags, object lock, website redirects).

"Permission" is what an access control list must grant to others than the owner.
"""


def compatibility_markdown() -> str:
    """The whole document."""
    served = [row for row in OPERATIONS if row.served]
    others = [row for row in OPERATIONS if not row.served]
    lines = [_HEAD.format(served=len(served), total=len(OPERATIONS)), "## Served", ""]
    lines += ["| operation | request | action | permission | notes |", "|---|---|---|---|---|"]
    lines += [
        f"| {row.name} | `{_request(row)}` | `{row.action}` | {_permission(row)} | {row.note} |"
        for row in served
    ]
    lines += ["", "## Answered with NotImplemented", ""]
    lines += ["| operation | request | notes |", "|---|---|---|"]
    lines += [f"| {row.name} | `{_request(row)}` | {row.note} |" for row in others]
    return "\n".join(lines) + "\n"


def _request(row: Operation) -> str:
    query = row.subresource
    if row.subresource == "list-type":
        query += "=2"
    if row.parameter:
        query += f"&{row.parameter}"
    text = f"{row.method} {TEMPLATES[row.level]}"
    if query:
        text += f"?{query}"
    return text + (" + x-amz-copy-source" if row.copies else "")


def _permission(row: Operation) -> str:
    if row.permission is None:
        return "any account" if row.permission_on is Level.SERVICE else "owner"
    source = "; READ on the source" if row.copies else ""
    return f"{row.permission.value} on the {row.permission_on.value}{source}"
