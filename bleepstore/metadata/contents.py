"""Contents and blobs, counted: who names them, and when nobody does any more.

A content is a manifest; versions that are copies of each other share one.  A blob is named by
extents of contents and of parts, and each extent counts once.  So completing an upload moves
extents from parts to a content and changes no count at all.
"""

from __future__ import annotations

from collections.abc import Iterable

from bleepstore.errors import SourceChanged
from bleepstore.metadata.records import decode_manifest, encode_manifest
from bleepstore.metadata.transaction import SLICE, Steps, Transaction
from bleepstore.model.objects import Extent, Manifest


def add_content(tx: Transaction, manifest: Manifest) -> int:
    """Store a manifest whose blobs are counted already; gives its content id."""
    content_id = tx.next_content + 1
    tx.next_content = content_id
    raw = encode_manifest(manifest)
    tx.written += len(raw)
    tx.new_contents.append((content_id, raw))
    return content_id


def share_content(tx: Transaction, content_id: int) -> None:
    """One more version has this content."""
    tx.contents_are_shared = True
    tx.execute(
        "INSERT INTO shares VALUES (?, 1) ON CONFLICT DO UPDATE SET others = others + 1",
        (content_id,),
    )


def drop_content(tx: Transaction, content_id: int, inline: int) -> Steps[None]:
    """One version less has this content; the last one takes it, and its blobs, along.

    :param inline: whether it is known to name no blob; then nobody looks at it again.
    """
    if tx.contents_are_shared:
        shares = tx.execute(
            "SELECT others FROM shares WHERE content_id = ?", (content_id,)
        ).fetchone()
        if shares is not None:
            if shares[0] == 1:
                tx.execute("DELETE FROM shares WHERE content_id = ?", (content_id,))
            else:
                tx.execute(
                    "UPDATE shares SET others = others - 1 WHERE content_id = ?", (content_id,)
                )
            return
    if inline:
        tx.old_contents.append((content_id,))
        return
    tx.write_contents()
    ((raw,),) = tx.execute(
        "DELETE FROM contents WHERE content_id = ? RETURNING manifest", (content_id,)
    ).fetchall()
    yield from release_blobs(tx, decode_manifest(raw).extents)


def hold_blobs(tx: Transaction, extents: Iterable[Extent]) -> Steps[None]:
    """Count the blobs that these extents name."""
    for number, extent in enumerate(extents, 1):
        if extent.blob_id:
            tx.execute(
                "INSERT INTO blobs VALUES (?, 1) ON CONFLICT DO UPDATE SET refs = refs + 1",
                (extent.blob_id,),
            )
        if number % SLICE == 0:
            yield


def require_held(tx: Transaction, extents: Iterable[Extent]) -> Steps[None]:
    """:raises SourceChanged: an extent names a blob that nothing names any more."""
    for number, extent in enumerate(extents, 1):
        if extent.blob_id:
            found = tx.execute("SELECT 1 FROM blobs WHERE blob_id = ?", (extent.blob_id,))
            if found.fetchone() is None:
                raise SourceChanged
        if number % SLICE == 0:
            yield


def release_blobs(tx: Transaction, extents: Iterable[Extent]) -> Steps[None]:
    """Count these extents off; a blob that nothing names any more awaits its deletion."""
    for number, extent in enumerate(extents, 1):
        if blob_id := extent.blob_id:
            gone = tx.execute("DELETE FROM blobs WHERE blob_id = ? AND refs = 1", (blob_id,))
            if gone.rowcount:
                tx.execute("INSERT INTO released VALUES (?)", (blob_id,))
            else:
                tx.execute("UPDATE blobs SET refs = refs - 1 WHERE blob_id = ?", (blob_id,))
        if number % SLICE == 0:
            yield
