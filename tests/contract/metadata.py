"""What every implementation of IMetadataStore does, whatever it keeps its rows in.

A test class derives from :class:`MetadataContract` and gives ``store`` and ``turns`` fixtures.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import Any

import pytest
from awscrt.checksums import crc64nvme
from zope.interface.verify import verifyObject

from bleepstore.errors import (
    AccessDenied,
    BadDigest,
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    BucketChanged,
    BucketNotEmpty,
    EntityTooSmall,
    InvalidPart,
    InvalidPartOrder,
    InvalidRequest,
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    PreconditionFailed,
    ServiceUnavailable,
    SourceChanged,
)
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.metadata import IMetadataStore, Totals
from bleepstore.metadata.records import access_of, encode_bucket
from bleepstore.model.accounts import Account, Credential
from bleepstore.model.acl import CannedAcl, canned_acl, private_acl
from bleepstore.model.checksums import Checksum, ChecksumAlgorithm, ChecksumType
from bleepstore.model.commands import (
    AbortUpload,
    CompletedPart,
    DeleteBucket,
    DeleteCredential,
    Deleted,
    DeleteObject,
    DeleteObjects,
    DeleteTarget,
    Done,
    Epoch,
    ForgetBlobs,
    OpenEpoch,
    PutBucketAcl,
    PutCredential,
    PutObjectAcl,
    Written,
)
from bleepstore.model.conditions import WriteConditions
from bleepstore.model.objects import Description, Extent, Manifest
from tests.contract.metadata_engines import Turns
from tests.metadata.values import (
    ACL,
    MIB,
    OTHER,
    OWNER,
    bucket,
    complete,
    copy,
    crc64,
    etag_of,
    part,
    put,
    upload,
)

PUBLIC = canned_acl(CannedAcl.PUBLIC_READ, OWNER, OWNER)


class MetadataContract:
    @pytest.fixture
    def do(self, store: Any, turns: Turns) -> Any:
        """Submit commands; the result of the last one."""

        def submit(*commands: Any) -> Any:
            return [turns.run(store.submit(command)) for command in commands][-1]

        return submit

    @pytest.fixture
    def ask(self, store: Any, turns: Turns) -> Any:
        """Ask a query by name."""

        def query(name: str, *args: Any, **more: Any) -> Any:
            return turns.run(getattr(store, name)(*args, **more))

        return query

    def keys(self, ask: Any, **more: Any) -> list[str]:
        return [entry.key for entry in ask("list_objects", "bucket", **more).objects]

    def test_it_provides_what_it_declares(self, store: Any) -> None:
        verifyObject(IMetadataStore, store)
        verifyObject(IPart, store)

    # Buckets

    def test_a_bucket_is_created_read_and_deleted(self, do: Any, ask: Any) -> None:
        assert do(bucket(at=7, region="eu-west-1")) == Done()
        found = ask("get_bucket", "bucket")
        assert (found.name, found.owner_id, found.created) == ("bucket", OWNER, 7)
        assert (found.region, found.acl) == ("eu-west-1", ACL)
        do(DeleteBucket(at=8, bucket="bucket"))
        with pytest.raises(NoSuchBucket) as refused:
            ask("get_bucket", "bucket")
        assert refused.value.details == {"BucketName": "bucket"}

    def test_creating_ones_own_bucket_again_resets_its_acl_in_us_east_1_alone(
        self, do: Any, ask: Any
    ) -> None:
        do(bucket(at=1, acl=PUBLIC), bucket(at=2))
        again = ask("get_bucket", "bucket")
        assert (again.acl, again.created) == (ACL, 1)
        with pytest.raises(BucketAlreadyOwnedByYou):
            do(bucket(at=3, region="eu-west-1", acl=PUBLIC))
        assert ask("get_bucket", "bucket").acl == ACL
        assert ask("totals").buckets == 1

    def test_anothers_bucket_is_not_to_be_had(self, do: Any, ask: Any) -> None:
        do(bucket())
        with pytest.raises(BucketAlreadyExists):
            do(bucket(owner=OTHER))
        assert ask("get_bucket", "bucket").owner_id == OWNER

    def test_only_an_empty_bucket_is_deleted_and_its_uploads_go_with_it(
        self, do: Any, ask: Any
    ) -> None:
        do(bucket(), put("key"), upload(), part(1, blob="blob-a"))
        with pytest.raises(BucketNotEmpty):
            do(DeleteBucket(at=60, bucket="bucket"))
        do(DeleteObject(at=61, bucket="bucket", key="key"), DeleteBucket(at=62, bucket="bucket"))
        assert list(ask("released_blobs")) == ["blob-a"]
        assert ask("totals") == Totals(0, 0)
        do(bucket())
        with pytest.raises(NoSuchUpload):
            ask("get_upload", "bucket", "big", "u1")
        assert ask("list_uploads", "bucket").uploads == ()
        with pytest.raises(NoSuchBucket):
            do(DeleteBucket(at=63, bucket="missing"))

    def test_a_buckets_acl_is_replaced(self, do: Any, ask: Any) -> None:
        do(bucket(), PutBucketAcl(at=2, bucket="bucket", acl=PUBLIC))
        assert ask("get_bucket", "bucket").acl == PUBLIC
        with pytest.raises(NoSuchBucket):
            do(PutBucketAcl(at=2, bucket="missing", acl=PUBLIC))
        with pytest.raises(AccessDenied):
            do(PutBucketAcl(at=3, bucket="bucket", acl=private_acl(OTHER)))
        assert ask("get_bucket", "bucket").acl == PUBLIC

    def test_a_put_is_refused_if_the_bucket_is_not_the_one_it_was_admitted_by(
        self, do: Any, ask: Any
    ) -> None:
        do(bucket())
        access = access_of(encode_bucket(ask("get_bucket", "bucket")))
        do(put("a", access=access))
        with pytest.raises(BucketChanged):
            do(
                put("b", access=access),
                PutBucketAcl(at=2, bucket="bucket", acl=PUBLIC),
                put("c", access=access),
            )
        with pytest.raises(BucketChanged):
            do(put("c", access=access))
        assert ask("get_object", "bucket", "c").version is None
        do(PutBucketAcl(at=3, bucket="bucket", acl=ACL), put("c", access=access))
        do(
            *[DeleteObject(at=4, bucket="bucket", key=key) for key in "abc"],
            DeleteBucket(at=5, bucket="bucket"),
        )
        with pytest.raises(NoSuchBucket):
            do(put("a", access=access))
        with pytest.raises(BucketChanged):
            do(bucket(at=6), put("a", access=access))
        with pytest.raises(BucketChanged):
            do(bucket("other", at=6), put("a", access=access))
        do(put("a"))

    def test_buckets_are_listed_by_owner_name_prefix_and_page(self, do: Any, ask: Any) -> None:
        names = ["aa1", "ab1", "ab2", "ab3", "b11"]
        do(*map(bucket, reversed(names)), bucket("ab0", owner=OTHER))
        assert [b.name for b in ask("list_buckets", OWNER).buckets] == names
        first = ask("list_buckets", OWNER, prefix="ab", limit=2)
        assert [b.name for b in first.buckets] == ["ab1", "ab2"]
        assert first.next_after == "ab2"
        second = ask("list_buckets", OWNER, prefix="ab", after="ab2", limit=2)
        assert [b.name for b in second.buckets] == ["ab3"]
        assert second.next_after == ""
        assert ask("list_buckets", OWNER, limit=0).next_after == ""

    def test_all_who_own_buckets_are_known(self, do: Any, ask: Any) -> None:
        assert list(ask("bucket_owners")) == []
        do(bucket("aa1"), bucket("bb1", owner=OTHER), bucket("cc1"))
        assert list(ask("bucket_owners")) == sorted((OWNER, OTHER))

    # Objects

    def test_an_object_is_read_back_as_it_was_written(self, do: Any, ask: Any) -> None:
        do(bucket())
        description = Description({"content-type": "a/b"}, {"x": "ü"}, "GLACIER_IR")
        manifest = Manifest((Extent(3, "blob-1", 5), Extent(4, data=b"abcd")))
        written = do(
            put(
                "a/ключ\0",
                size=7,
                at=123,
                acl=PUBLIC,
                description=description,
                manifest=manifest,
                checksum=crc64("AAAAAAAAAAA="),
            )
        )
        assert written == Written(
            version_id="null",
            etag=etag_of(b"data"),
            size=7,
            last_modified=123,
            checksum=crc64("AAAAAAAAAAA="),
        )
        found = ask("get_object", "bucket", "a/ключ\0", with_manifest=True)
        assert found.bucket.name == "bucket"
        version = found.version
        assert (version.key, version.version_id, version.size) == ("a/ключ\0", "null", 7)
        assert (version.etag, version.last_modified) == (etag_of(b"data"), 123)
        assert (version.owner_id, version.acl) == (OWNER, PUBLIC)
        assert version.description == description
        assert version.checksum == crc64("AAAAAAAAAAA=")
        assert version.part_count == 0
        assert found.manifest == manifest
        assert ask("get_object", "bucket", "a/ключ\0").manifest is None
        assert ask("get_object", "bucket", "a/ключ\0", "null").version == version

    def test_what_is_not_there_is_told_apart(self, do: Any, ask: Any) -> None:
        do(bucket(), put("key"))
        assert ask("get_object", "bucket", "ke").version is None
        assert ask("get_object", "bucket", "key", "v2").version is None
        with pytest.raises(NoSuchBucket):
            ask("get_object", "other", "key")
        with pytest.raises(NoSuchBucket):
            do(put("key", to="other"))
        with pytest.raises(NoSuchBucket):
            ask("list_objects", "other")

    def test_overwriting_gives_new_content_and_releases_the_old_blob(
        self, do: Any, ask: Any
    ) -> None:
        do(bucket(), put("key", blob="blob-1"))
        before = ask("get_object", "bucket", "key").version
        assert ask("referenced_blobs", ["blob-1", "blob-2"]) == {"blob-1"}
        do(put("key", b"more", blob="blob-2", at=11))
        after = ask("get_object", "bucket", "key").version
        assert after.content_id > before.content_id
        assert (after.etag, after.last_modified) == (etag_of(b"more"), 11)
        assert list(ask("released_blobs")) == ["blob-1"]
        assert [ask("is_released", blob) for blob in ("blob-1", "blob-2")] == [True, False]
        assert ask("referenced_blobs", ["blob-1", "blob-2"]) == {"blob-2"}
        assert ask("totals") == Totals(1, 1)
        do(put("key", at=12), ForgetBlobs(at=13, blob_ids=("blob-1", "never-heard-of")))
        assert list(ask("released_blobs")) == ["blob-2"]

    def test_what_was_deleted_is_room_for_what_comes(self, do: Any, store: Any) -> None:
        keys = [f"k{n}" for n in range(20)]
        do(bucket(), *(put(key, b"x" * 16_000) for key in keys))
        before = store.reusable_bytes()
        do(*(DeleteObject(at=2, bucket="bucket", key=key) for key in keys))
        freed = store.reusable_bytes() - before
        assert freed > 15 * 16_000
        do(*(put(key, b"x" * 16_000) for key in keys[:10]))
        assert store.reusable_bytes() < before + freed * 2 / 3

    def test_write_conditions_are_decided_against_the_current_object(
        self, do: Any, ask: Any
    ) -> None:
        do(bucket())
        create = WriteConditions(if_none_match=True)
        match = WriteConditions(if_match=etag_of(b"one"))
        with pytest.raises(NoSuchKey):
            do(put("key", b"one", conditions=match))
        do(put("key", b"one", conditions=create))
        with pytest.raises(PreconditionFailed):
            do(put("key", b"two", blob="blob-x", conditions=create))
        do(put("key", b"two", conditions=match))
        with pytest.raises(PreconditionFailed):
            do(put("key", b"three", conditions=match))
        do(put("key", b"three", conditions=WriteConditions(if_match="*")))
        assert ask("get_object", "bucket", "key").version.etag == etag_of(b"three")
        assert ask("referenced_blobs", ["blob-x"]) == frozenset()

    def test_a_copy_shares_the_bytes_until_the_last_one_goes(self, do: Any, ask: Any) -> None:
        do(bucket(), bucket("second"), put("key", blob="blob-1"))
        source = ask("get_object", "bucket", "key", with_manifest=True)
        written = do(copy("key", "copy", source.version.content_id, to="second", at=21))
        assert (written.etag, written.size) == (etag_of(b"data"), 4)
        found = ask("get_object", "second", "copy", with_manifest=True)
        assert found.manifest == source.manifest
        assert found.version.content_id == source.version.content_id
        assert found.version.last_modified == 21
        do(*(copy("key", more, source.version.content_id) for more in ("again", "more")))
        for key in ("again", "key", "more"):
            do(DeleteObject(at=22, bucket="bucket", key=key))
            assert list(ask("released_blobs")) == []
        do(DeleteObject(at=23, bucket="second", key="copy"))
        assert list(ask("released_blobs")) == ["blob-1"]

    def test_a_copy_onto_itself_keeps_the_bytes(self, do: Any, ask: Any) -> None:
        do(bucket(), put("key", blob="blob-1"))
        content_id = ask("get_object", "bucket", "key").version.content_id
        do(copy("key", "key", content_id, description=Description({}, {"new": "yes"})))
        found = ask("get_object", "bucket", "key", with_manifest=True)
        assert found.version.description.metadata == {"new": "yes"}
        assert found.manifest.extents == (Extent(4, "blob-1"),)
        assert list(ask("released_blobs")) == []
        do(DeleteObject(at=22, bucket="bucket", key="key"))
        assert list(ask("released_blobs")) == ["blob-1"]

    def test_a_copy_of_what_has_changed_meanwhile_is_refused(self, do: Any, ask: Any) -> None:
        do(bucket(), put("key"))
        content_id = ask("get_object", "bucket", "key").version.content_id
        do(put("key"))
        for source, name in (("key", "bucket"), ("gone", "bucket"), ("key", "no-bucket")):
            with pytest.raises(SourceChanged):
                do(copy(source, "copy", content_id, source_bucket=name))
        with pytest.raises(NoSuchBucket):
            do(copy("key", "copy", content_id + 1, to="no-bucket"))
        with pytest.raises(PreconditionFailed):
            do(copy("key", "key", content_id + 1, conditions=WriteConditions(if_none_match=True)))
        assert self.keys(ask) == ["key"]

    def test_an_objects_acl_is_replaced_and_its_time_is_kept(self, do: Any, ask: Any) -> None:
        do(bucket(), put("key", at=5), PutObjectAcl(at=9, bucket="bucket", key="key", acl=PUBLIC))
        version = ask("get_object", "bucket", "key").version
        assert (version.acl, version.last_modified) == (PUBLIC, 5)
        do(PutObjectAcl(at=9, bucket="bucket", key="key", acl=ACL))
        assert ask("get_object", "bucket", "key").version.acl == ACL
        with pytest.raises(NoSuchKey):
            do(PutObjectAcl(at=9, bucket="bucket", key="gone", acl=PUBLIC))
        with pytest.raises(AccessDenied):
            do(PutObjectAcl(at=9, bucket="bucket", key="key", acl=private_acl(OTHER)))
        with pytest.raises(AccessDenied):
            do(PutObjectAcl(at=9, bucket="bucket", key="key", acl=PUBLIC, decided_by=PUBLIC))
        assert ask("get_object", "bucket", "key").version.acl == ACL
        do(PutObjectAcl(at=9, bucket="bucket", key="key", acl=PUBLIC, decided_by=ACL))
        assert ask("get_object", "bucket", "key").version.acl == PUBLIC

    def test_deleting_says_whether_there_was_anything(self, do: Any, ask: Any) -> None:
        do(bucket(), put("key"))
        assert do(DeleteObject(at=2, bucket="bucket", key="key", version_id="v")) == Deleted(
            existed=False
        )
        assert do(DeleteObject(at=2, bucket="bucket", key="key")) == Deleted(existed=True)
        assert do(DeleteObject(at=2, bucket="bucket", key="key")) == Deleted(existed=False)
        do(put("key"))
        null = DeleteObject(at=2, bucket="bucket", key="key", version_id="null")
        assert do(null) == Deleted(existed=True)
        assert ask("totals") == Totals(1, 0)
        with pytest.raises(NoSuchBucket):
            do(DeleteObject(at=2, bucket="gone", key="key"))

    def test_a_conditional_delete_spares_another_object(self, do: Any, ask: Any) -> None:
        do(bucket(), put("key"))
        with pytest.raises(PreconditionFailed):
            do(DeleteObject(at=2, bucket="bucket", key="key", if_match="0" * 32))
        with pytest.raises(NoSuchKey):
            do(DeleteObject(at=2, bucket="bucket", key="gone", if_match="*"))
        assert self.keys(ask) == ["key"]
        do(DeleteObject(at=2, bucket="bucket", key="key", if_match=etag_of(b"data")))
        assert self.keys(ask) == []

    def test_each_target_of_a_multi_delete_is_decided_on_its_own(self, do: Any, ask: Any) -> None:
        do(bucket(), *(put(f"k{n}", at=1500, blob=f"blob-{n}") for n in range(6)))
        result = do(
            DeleteObjects(
                at=2,
                bucket="bucket",
                targets=(
                    DeleteTarget("k0"),
                    DeleteTarget("gone"),
                    DeleteTarget("k1", if_match="0" * 32),
                    DeleteTarget("k2", if_size=5),
                    DeleteTarget("k3", if_last_modified=2000),
                    DeleteTarget("k4", if_size=4, if_last_modified=1999, if_match="*"),
                    DeleteTarget("gone", if_size=4),
                    DeleteTarget("k0"),
                ),
            )
        )
        codes = [refusal.code if refusal else None for refusal in result.outcomes]
        failed = "PreconditionFailed"
        assert codes == [None, None, failed, failed, failed, None, "NoSuchKey", None]
        assert self.keys(ask) == ["k1", "k2", "k3", "k5"]
        assert list(ask("released_blobs")) == ["blob-0", "blob-4"]
        with pytest.raises(NoSuchBucket):
            do(DeleteObjects(at=2, bucket="gone", targets=(DeleteTarget("k"),)))

    # Listing

    def test_keys_come_in_the_order_of_their_bytes(self, do: Any, ask: Any) -> None:
        keys = ["\0", "\x01a", "A", "a", "a\0", "a/b", "a0", "é", "\uffff", "😀"]
        do(bucket(), *map(put, reversed(keys)))
        assert self.keys(ask) == sorted(keys, key=str.encode) == keys
        collected: list[str] = []
        after = ""
        while True:
            page = ask("list_objects", "bucket", after=after, limit=1)
            collected += [entry.key for entry in page.objects]
            if not (after := page.next_after):
                break
        assert collected == keys

    def test_a_listing_shows_what_the_front_needs(self, do: Any, ask: Any) -> None:
        do(bucket(), put("key", at=77, checksum=crc64("AAAAAAAAAAA=")), put("plain"))
        shown, plain = ask("list_objects", "bucket").objects
        assert (shown.size, shown.etag, shown.last_modified) == (4, etag_of(b"data"), 77)
        assert (shown.storage_class, shown.owner_id) == ("STANDARD", OWNER)
        assert shown.checksum_algorithm is ChecksumAlgorithm.CRC64NVME
        assert shown.checksum_type is ChecksumType.FULL_OBJECT
        assert plain.checksum_algorithm is None

    def test_common_prefixes_stand_for_what_lies_below(self, do: Any, ask: Any) -> None:
        do(bucket(), *map(put, ["a", "a/b/c", "a/b/d", "a/e", "b", "c//d", "c/d"]))
        page = ask("list_objects", "bucket", delimiter="/")
        assert [entry.key for entry in page.objects] == ["a", "b"]
        assert page.common_prefixes == ("a/", "c/")
        page = ask("list_objects", "bucket", prefix="a/", delimiter="/")
        assert ([e.key for e in page.objects], page.common_prefixes) == (["a/e"], ("a/b/",))
        page = ask("list_objects", "bucket", delimiter="/b/")
        assert page.common_prefixes == ("a/b/",)
        assert ask("list_objects", "bucket", prefix="zzz").objects == ()
        assert ask("list_objects", "bucket", limit=0).next_after == ""

    @pytest.mark.parametrize(
        ("after", "expected"),
        [
            ("", ["a", "a/", "b"]),
            ("a", ["a/", "b"]),
            ("a/", ["b"]),
            ("a/b", ["b"]),
            ("a/zzz", ["b"]),
            ("a0", ["b"]),
            ("a.", ["a/", "b"]),
        ],
    )
    def test_after_is_strict_for_keys_and_common_prefixes(
        self, do: Any, ask: Any, after: str, expected: list[str]
    ) -> None:
        do(bucket(), *map(put, ["a", "a/b", "a/c", "b"]))
        page = ask("list_objects", "bucket", delimiter="/", after=after)
        assert sorted([*(e.key for e in page.objects), *page.common_prefixes]) == expected

    # Uploads

    def test_an_upload_and_its_parts_are_shown(self, do: Any, ask: Any) -> None:
        command = upload()
        do(bucket(), command, part(2), part(1, at=41), part(2, size=7, at=42, blob="new"))
        assert ask("get_upload", "bucket", "big", "u1") == command.upload
        page = ask("list_parts", "u1", limit=1)
        assert ([p.number for p in page.parts], page.next_after) == ([1], 1)
        page = ask("list_parts", "u1", after=1)
        assert (page.parts[0].size, page.parts[0].last_modified, page.next_after) == (7, 42, 0)
        assert list(ask("released_blobs")) == ["blob-u1-2"]
        for wrong in (("bucket", "other", "u1"), ("other", "big", "u1"), ("bucket", "big", "u2")):
            with pytest.raises(NoSuchUpload):
                ask("get_upload", *wrong)
        for elsewhere in ({"key": "other"}, {"to": "other"}):
            with pytest.raises(NoSuchUpload):
                do(bucket("other"), part(1, **elsewhere))
        with pytest.raises(NoSuchBucket):
            do(upload("u9", to="missing"))

    def test_a_part_may_share_a_blob_that_is_still_held(self, do: Any, ask: Any) -> None:
        do(bucket(), put("key", blob="blob-1"), upload())
        do(part(1, blob="blob-1", shares_blobs=True))
        do(DeleteObject(at=45, bucket="bucket", key="key"))
        assert list(ask("released_blobs")) == []
        with pytest.raises(SourceChanged):
            do(part(2, blob="blob-gone", shares_blobs=True))
        extents = (Extent(1, "blob-1"), Extent(1, "blob-2"))  # and the second is new
        with pytest.raises(SourceChanged):
            do(part(2, extents=extents, shares_blobs=True))
        do(part(2, extents=extents, shares_blobs=True, fresh=("blob-2",)))
        do(part(2, blob="blob-1", shares_blobs=True))
        assert list(ask("released_blobs")) == ["blob-2"]
        do(ForgetBlobs(at=46, blob_ids=("blob-2",)))
        do(AbortUpload(at=46, bucket="bucket", key="big", upload_id="u1"))
        assert list(ask("released_blobs")) == ["blob-1"]
        with pytest.raises(NoSuchUpload):
            do(AbortUpload(at=46, bucket="bucket", key="big", upload_id="u1"))

    def test_completing_makes_an_object_of_the_parts_named(self, do: Any, ask: Any) -> None:
        do(bucket(), put("big", blob="old"), upload(), part(3, size=9), part(1), part(2))
        written = do(complete((1, 3)))
        raw = bytes.fromhex(etag_of(b"1") + etag_of(b"3"))
        assert written.etag == f"{etag_of(raw)}-2"
        assert (written.size, written.last_modified) == (5 * MIB + 9, 50)
        found = ask("get_object", "bucket", "big", with_manifest=True)
        assert found.version.part_count == 2
        assert found.version.description == Description({"content-type": "video/mp4"})
        assert [p.number for p in found.manifest.parts] == [1, 3]
        assert found.manifest.extents == (Extent(5 * MIB, "blob-u1-1"), Extent(9, "blob-u1-3"))
        assert list(ask("released_blobs")) == ["blob-u1-2", "old"]
        assert ask("list_parts", "u1").parts == ()
        assert ask("list_uploads", "bucket").uploads == ()
        assert ask("totals").objects == 1

    def test_what_goes_with_a_completed_object_are_all_its_blobs(self, do: Any, ask: Any) -> None:
        inline = (Extent(4, data=b"tail"),)
        do(bucket(), upload(), part(1), part(2), part(3, size=4, extents=inline))
        do(complete((1, 2, 3)))
        assert list(ask("released_blobs")) == []
        do(DeleteObject(at=60, bucket="bucket", key="big"))
        assert list(ask("released_blobs")) == ["blob-u1-1", "blob-u1-2"]

    def test_completing_again_succeeds_while_the_object_is_current(self, do: Any, ask: Any) -> None:
        do(bucket(), upload(), part(1), part(2))
        first = do(complete((1, 2)))
        again = complete((1, 2), at=99, conditions=WriteConditions(if_none_match=True))
        assert do(again) == first
        with pytest.raises(NoSuchUpload):
            do(complete((1,)))
        with pytest.raises(NoSuchUpload):
            do(complete((1, 2), upload_id="another"))
        with pytest.raises(NoSuchUpload):
            do(complete((1, 2), parts=(CompletedPart(1, "no hex"),)))
        do(put("big"))
        with pytest.raises(NoSuchUpload):
            do(complete((1, 2)))

    def test_what_is_wrong_with_a_completion_is_said_and_changes_nothing(
        self, do: Any, ask: Any
    ) -> None:
        do(bucket(), upload(), part(1), part(2, size=5), part(3))
        do(part(4, size=6), part(5))

        def refused(error: type[Exception], command: Any) -> dict[str, str]:
            with pytest.raises(error) as raised:
                do(command)
            details: dict[str, str] = raised.value.details  # type: ignore[attr-defined]
            return details

        refused(NoSuchUpload, complete((1,), upload_id="gone"))
        refused(InvalidPartOrder, complete((3, 1)))
        refused(InvalidPartOrder, complete((1, 1)))
        refused(InvalidRequest, complete(()))
        assert refused(InvalidPart, complete((1, 6))) == {
            "UploadId": "u1",
            "PartNumber": "6",
            "ETag": etag_of(b"6"),
        }
        refused(InvalidPart, complete((1,), parts=(CompletedPart(1, "0" * 32),)))
        named = CompletedPart(1, etag_of(b"1"), {ChecksumAlgorithm.CRC32: "AAAAAA=="})
        refused(InvalidPart, complete((1,), parts=(named,)))
        assert refused(EntityTooSmall, complete((1, 2, 4, 5))) == {
            "ProposedSize": "5",
            "MinSizeAllowed": str(5 * MIB),
            "PartNumber": "2",
            "ETag": etag_of(b"2"),
        }
        refused(InvalidRequest, complete((1, 3), expected_size=1))
        refused(InvalidRequest, complete((1, 3), checksum_type=ChecksumType.COMPOSITE))
        refused(NoSuchKey, complete((1,), conditions=WriteConditions(if_match="*")))
        assert len(ask("list_parts", "u1").parts) == 5
        assert self.keys(ask) == []
        do(complete((1, 3), expected_size=10 * MIB))

    def test_the_full_object_checksum_is_combined_from_the_parts(self, do: Any, ask: Any) -> None:
        def checksum(data: bytes) -> Checksum:
            return crc64(b64encode(crc64nvme(data).to_bytes(8, "big")).decode())

        first, second = b"a" * 5 * MIB, b"tail"
        do(bucket(), upload(), part(1, checksum=checksum(first)))
        do(part(2, size=4, checksum=checksum(second)))
        whole = checksum(first + second)
        with pytest.raises(BadDigest):
            do(complete((1, 2), checksum=checksum(b"other")))
        with pytest.raises(InvalidRequest):
            do(complete((1, 2), checksum=Checksum(ChecksumAlgorithm.CRC32, "AAAAAA==")))
        full = complete((1, 2), checksum=whole, checksum_type=ChecksumType.FULL_OBJECT)
        assert do(full).checksum == whole
        assert ask("get_object", "bucket", "big").version.checksum == whole
        do(upload("u2"), part(1, upload_id="u2", checksum=checksum(first)))
        assert do(complete((1,), upload_id="u2")).checksum == checksum(first), "though not named"

    def test_a_checksum_that_cannot_be_computed_is_none_that_was_expected(
        self, do: Any, ask: Any
    ) -> None:
        do(bucket(), upload(), part(1))
        with pytest.raises(BadDigest):
            do(complete((1,), checksum=crc64("AAAAAAAAAAA=")))
        assert do(complete((1,))).checksum is None

    def test_a_composite_checksum_is_that_of_the_parts_checksums(self, do: Any, ask: Any) -> None:
        digests = [sha256(b"%d" % n).digest() for n in (1, 2)]
        sha = ChecksumAlgorithm.SHA256
        do(bucket(), upload(checksum_algorithm=sha))
        for number, raw in enumerate(digests, 1):
            do(part(number, checksum=Checksum(sha, b64encode(raw).decode())))
        value = b64encode(sha256(b"".join(digests)).digest()).decode()
        named = [{sha: b64encode(raw).decode()} for raw in digests]
        for wrong in (named[0], {**named[1], ChecksumAlgorithm.CRC32: "AAAAAA=="}):
            with pytest.raises(InvalidPart):
                do(complete((), parts=(CompletedPart(2, etag_of(b"2"), wrong),)))
        parts = tuple(CompletedPart(n, etag_of(b"%d" % n), of) for n, of in enumerate(named, 1))
        written = do(complete((), parts=parts, checksum=Checksum(sha, value)))
        assert written.checksum == Checksum(sha, f"{value}-2", ChecksumType.COMPOSITE)

    def test_uploads_are_listed_by_key_then_time_then_id(self, do: Any, ask: Any) -> None:
        do(
            bucket(),
            upload("z", "a", at=1),
            upload("y", "a", at=2),
            upload("x", "a", at=2),
            upload("w", "b/1", at=1),
            upload("v", "b/2", at=1),
            upload("t", "c", at=1),
        )
        ids = [u.upload_id for u in ask("list_uploads", "bucket").uploads]
        assert ids == ["z", "x", "y", "w", "v", "t"]
        collected: list[str] = []
        marker = ("", "")
        while True:
            page = ask(
                "list_uploads",
                "bucket",
                delimiter="/",
                after_key=marker[0],
                after_upload_id=marker[1],
                limit=1,
            )
            collected += [u.upload_id for u in page.uploads] + list(page.common_prefixes)
            marker = (page.next_key, page.next_upload_id)
            if not marker[0]:
                break
        assert collected == ["z", "x", "y", "b/", "t"]
        page = ask("list_uploads", "bucket", after_key="a")
        assert [u.upload_id for u in page.uploads] == ["w", "v", "t"]
        page = ask("list_uploads", "bucket", prefix="b/", after_key="a", after_upload_id="z")
        assert [u.upload_id for u in page.uploads] == ["w", "v"]
        page = ask("list_uploads", "bucket", after_key="a", after_upload_id="ended")
        assert [u.upload_id for u in page.uploads] == ["z", "x", "y", "w", "v", "t"]
        stale = ask("stale_uploads", 2)
        assert [u.upload_id for u in stale] == ["t", "v", "w", "z"]

    # Keys, epochs, the end

    def test_credentials_are_stored_replaced_and_deleted(self, do: Any, ask: Any) -> None:
        one = Credential("AK1", "s1", Account(OWNER, "one"))
        two = Credential("AK2", "s2", Account(OTHER, "two", "two@example.com"), enabled=False)
        do(*(PutCredential(at=1, credential=each) for each in (two, one)))
        assert list(ask("list_credentials")) == [one, two]
        changed = Credential("AK1", "s3", one.account)
        do(PutCredential(at=2, credential=changed))
        assert ask("get_credential", "AK1") == changed
        do(DeleteCredential(at=3, access_key="AK1"), DeleteCredential(at=3, access_key="AK1"))
        assert ask("get_credential", "AK1") is None

    def test_every_epoch_is_another_number(self, do: Any, ask: Any) -> None:
        assert ask("last_epoch") == 0
        assert do(OpenEpoch(at=1, node_id="n1")) == Epoch(number=1)
        assert do(OpenEpoch(at=1, node_id="n1")) == Epoch(number=2)
        assert ask("last_epoch") == 2

    def test_point_reads_do_not_suspend(self, store: Any, turns: Turns, do: Any) -> None:
        do(bucket(), put("key"), upload())
        turns.at_once(store.get_bucket("bucket"))
        turns.at_once(store.get_object("bucket", "key", with_manifest=True))
        turns.at_once(store.get_upload("bucket", "big", "u1"))
        turns.at_once(store.get_credential("none"))
        turns.at_once(store.totals())

    def test_a_stopped_store_refuses(self, store: Any, turns: Turns, do: Any, ask: Any) -> None:
        do(bucket())
        turns.run(store.stop())
        turns.run(store.stop())
        with pytest.raises(ServiceUnavailable):
            do(put("key"))
        with pytest.raises(ServiceUnavailable):
            ask("get_bucket", "bucket")
        with pytest.raises(ServiceUnavailable):
            ask("list_objects", "bucket")
