"""PutCredential and DeleteCredential; OpenEpoch and ForgetBlobs, by which blobs are swept."""

from __future__ import annotations

from bleepstore.metadata.records import encode_credential
from bleepstore.metadata.transaction import SLICE, Steps, Transaction
from bleepstore.model.commands import (
    DeleteCredential,
    Done,
    Epoch,
    ForgetBlobs,
    OpenEpoch,
    PutCredential,
)


def put_credential(tx: Transaction, command: PutCredential) -> Steps[Done]:
    """See :class:`PutCredential`."""
    credential = command.credential
    tx.execute(
        "INSERT OR REPLACE INTO credentials VALUES (?, ?)",
        (credential.access_key, encode_credential(credential)),
    )
    return Done()
    yield  # a generator, as all apply functions are


def delete_credential(tx: Transaction, command: DeleteCredential) -> Steps[Done]:
    """See :class:`DeleteCredential`."""
    tx.execute("DELETE FROM credentials WHERE access_key = ?", (command.access_key,))
    return Done()
    yield


def open_epoch(tx: Transaction, command: OpenEpoch) -> Steps[Epoch]:
    """See :class:`OpenEpoch`.  Rows are never deleted, so the greatest number is the last."""
    ((last,),) = tx.execute("SELECT max(number) FROM epochs").fetchall()
    number = (last or 0) + 1
    tx.execute("INSERT INTO epochs VALUES (?, ?, ?)", (number, command.node_id, command.at))
    return Epoch(number=number)
    yield


def forget_blobs(tx: Transaction, command: ForgetBlobs) -> Steps[Done]:
    """See :class:`ForgetBlobs`."""
    for number, blob_id in enumerate(command.blob_ids, 1):
        tx.execute("DELETE FROM released WHERE blob_id = ?", (blob_id,))
        if number % SLICE == 0:
            yield
    return Done()
