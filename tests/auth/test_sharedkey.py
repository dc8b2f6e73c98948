"""Azure's SharedKey signature, by the examples of its documentation."""

from __future__ import annotations

from base64 import b64decode
from hashlib import sha256
from hmac import digest

from bleepstore.auth.sharedkey import shared_key_signature, string_to_sign


def test_the_documentations_example_of_get_container_metadata() -> None:
    text = string_to_sign(
        "myaccount",
        b"GET",
        b"/mycontainer?comp=metadata&restype=container&timeout=20",
        (
            (b"x-ms-date", b"Fri, 26 Jun 2015 23:39:12 GMT"),
            (b"x-ms-version", b"2015-02-21"),
        ),
        0,
    )
    assert text == (
        b"GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\n"
        b"x-ms-version:2015-02-21\n/myaccount/mycontainer\ncomp:metadata\nrestype:container\n"
        b"timeout:20"
    )


def test_all_headers_and_a_query_out_of_order() -> None:
    text = string_to_sign(
        "acc",
        b"PUT",
        b"/c/a%20b//%C3%A9?Timeout=9&include=b&include=a%2Cz&comp=list",
        (
            (b"x-ms-meta-b", b"  two   words "),
            (b"x-ms-date", b"D"),
            (b"x-ms-blob-type", b"BlockBlob"),
            (b"content-encoding", b"gzip"),
            (b"content-language", b"de"),
            (b"content-md5", b"md5"),
            (b"content-type", b"text/plain"),
            (b"date", b"not signed beside x-ms-date"),
            (b"if-modified-since", b"ims"),
            (b"if-match", b'"m"'),
            (b"if-none-match", b"*"),
            (b"if-unmodified-since", b"ius"),
            (b"range", b"bytes=0-1"),
            (b"user-agent", b"never signed"),
        ),
        11,
    )
    assert text == (
        b'PUT\ngzip\nde\n11\nmd5\ntext/plain\n\nims\n"m"\n*\nius\nbytes=0-1\n'
        b"x-ms-blob-type:BlockBlob\nx-ms-date:D\nx-ms-meta-b:two words\n"
        b"/acc/c/a%20b//%C3%A9\ncomp:list\ninclude:a,z,b\ntimeout:9"
    )


def test_the_header_carries_the_hmac() -> None:
    header = shared_key_signature("acc", b"key", b"GET", b"/", ((b"x-ms-date", b"D"),), 0)
    scheme, _, signature = header.partition(b" acc:")
    assert scheme == b"SharedKey"
    text = string_to_sign("acc", b"GET", b"/", ((b"x-ms-date", b"D"),), 0)
    assert b64decode(signature) == digest(b"key", text, sha256)
