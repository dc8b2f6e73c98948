"""The binary form of commands is a format: it is frozen here."""

import msgspec
import pytest

from bleepstore.model import commands
from bleepstore.model.accounts import Account, Credential
from bleepstore.model.acl import private_acl
from bleepstore.model.checksums import Checksum, ChecksumAlgorithm
from bleepstore.model.commands import AnyCommand, Command, decode, encode
from bleepstore.model.conditions import WriteConditions
from bleepstore.model.intents import Intent
from bleepstore.model.objects import Description, Extent, Manifest, Upload

ACL = private_acl("o")
CRC = Checksum(ChecksumAlgorithm.CRC32, "AAAAAA==")
SAMPLES: list[AnyCommand] = [
    commands.CreateBucket(at=1, bucket="b", owner_id="o", region="us-east-1", acl=ACL),
    commands.DeleteBucket(at=1, bucket="b"),
    commands.PutBucketAcl(at=1, bucket="b", acl=ACL),
    commands.PutObject(
        at=1, request_id="R", bucket="b", key="k\x00ü", version_id="v", size=3, etag="e",
        owner_id="o", acl=ACL, description=Description(headers={"content-type": "a/b"}),
        checksum=CRC, manifest=Manifest((Extent(3, data=b"abc"),)),
        conditions=WriteConditions(if_none_match=True),
    ),
    commands.CopyObject(
        at=1, source_bucket="s", source_key="k", source_content_id=7, bucket="b", key="k",
        version_id="v", owner_id="o", acl=ACL, description=Description(), checksum=None,
    ),
    commands.PutObjectAcl(at=1, bucket="b", key="k", acl=ACL),
    commands.DeleteObject(at=1, bucket="b", key="k", if_match="*"),
    commands.DeleteObjects(at=1, bucket="b", targets=(commands.DeleteTarget("k", if_size=4),)),
    commands.CreateUpload(
        at=1,
        upload=Upload(
            upload_id="u", bucket="b", key="k", initiated=1, owner_id="o", initiator_id="o",
            acl=ACL, description=Description(),
        ),
    ),
    commands.PutPart(
        at=1, bucket="b", key="k", upload_id="u", number=1, size=2, etag="e", checksum=CRC,
        extents=(Extent(2, blob_id="00000001-00000001"),),
    ),
    commands.CompleteUpload(
        at=1, bucket="b", key="k", upload_id="u", version_id="v",
        parts=(commands.CompletedPart(1, "e", {ChecksumAlgorithm.CRC32: "AAAAAA=="}),),
    ),
    commands.AbortUpload(at=1, bucket="b", key="k", upload_id="u"),
    commands.PutCredential(at=1, credential=Credential("a", "s", Account("i", "n"))),
    commands.DeleteCredential(at=1, access_key="a"),
    commands.OpenEpoch(at=1, node_id="node-1"),
    commands.ForgetBlobs(at=1, blob_ids=("x",)),
    commands.RecordIntent(
        at=1,
        intent=Intent(intent_id="i", blob_id="x", bucket="b", key="k", name="b/k", command=b"c"),
    ),
    commands.ForgetIntent(at=1, intent_id="i"),
]  # fmt: skip


def test_there_is_a_sample_of_every_command() -> None:
    assert {type(sample) for sample in SAMPLES} == set(Command.__subclasses__())


@pytest.mark.parametrize("command", SAMPLES, ids=lambda c: type(c).__name__)
def test_a_command_survives_its_binary_form(command: AnyCommand) -> None:
    assert decode(encode(command)) == command


def test_the_binary_form_of_version_1_is_frozen() -> None:
    raw = bytes.fromhex("0183a7636f6d6d616e64ac44656c6574654275636b6574a2617401a66275636b6574a162")
    assert decode(raw) == commands.DeleteBucket(at=1, bucket="b")
    assert encode(commands.DeleteBucket(at=1, bucket="b")) == raw


def test_a_field_of_a_newer_version_is_passed_over() -> None:
    newer = {"command": "DeleteBucket", "at": 1, "bucket": "b", "invented_later": [1]}
    assert decode(b"\x01" + msgspec.msgpack.encode(newer)) == commands.DeleteBucket(
        at=1, bucket="b"
    )


@pytest.mark.parametrize("raw", [b"", b"\x02\x80", b"\x01", b"\x01\xc1", b"\x01\x80", b"\x01\x01"])
def test_what_is_no_command_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (msgspec's own messages)
        decode(raw)


def test_a_secret_does_not_show_in_a_repr() -> None:
    assert "hidden" not in repr(Credential("a", "hidden", Account("i", "n")))
