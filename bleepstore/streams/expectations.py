"""What a client says of the bytes that it sends, and whether they are those.

Knows digests; not where the bytes come from nor where they go.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from bleepstore.errors import (
    BadDigest,
    InvalidRequest,
    MalformedTrailerError,
    XAmzContentSHA256Mismatch,
)
from bleepstore.model.checksums import Checksum, ChecksumAlgorithm
from bleepstore.streams.digests import Digests, DigestsOfAll, decode_base64, encode_base64

_CRC64NVME = ChecksumAlgorithm.CRC64NVME
_MD5 = ChecksumAlgorithm.MD5


class Expectations(Struct, frozen=True, kw_only=True):
    """What the client says.

    :ivar max_size: bytes that are accepted at most.
    :ivar content_md5: the 16 bytes of Content-MD5.
    :ivar sha256: the signed payload hash as sent, 64 lower-case hex digits; None for
        UNSIGNED-PAYLOAD and the streaming forms.
    :ivar checksum: an ``x-amz-checksum-*`` header, of the length that its algorithm has.
    :ivar trailer: the algorithm whose value comes in the payload's trailers.
    :ivar algorithm: what to compute where the client sends no value.
    """

    max_size: int
    content_md5: bytes | None = None
    sha256: str | None = None
    checksum: Checksum | None = None
    trailer: ChecksumAlgorithm | None = None
    algorithm: ChecksumAlgorithm = _CRC64NVME

    @property
    def chosen(self) -> ChecksumAlgorithm:
        """The algorithm of the checksum: the client's, if it sends one."""
        checksum = self.checksum
        return self.trailer or self.algorithm if checksum is None else checksum.algorithm

    @property
    def says_md5(self) -> bool:
        """Whether the client has said what the MD5 is, or wants it as the checksum."""
        return self.content_md5 is not None or self.chosen is _MD5

    @property
    def algorithms(self) -> tuple[ChecksumAlgorithm, ...]:
        """The checksums to compute, beside the MD5: the client's choice, and that of the scrub."""
        chosen = self.chosen
        if chosen is _CRC64NVME or chosen is _MD5:
            return (_CRC64NVME,)
        return (chosen, _CRC64NVME)

    def require(
        self,
        trailers: Mapping[str, str],
        md5: Digests | DigestsOfAll,
        rest: Digests | DigestsOfAll,
    ) -> Checksum:
        """The checksum of the bytes, if they are what the client says.

        :param trailers: of the payload, after its end.
        :param md5: has the MD5.
        :param rest: has all other digests.
        :raises BadDigest: they do not match Content-MD5 or the checksum.
        :raises XAmzContentSHA256Mismatch: they do not match the signed hash.
        :raises MalformedTrailerError: the announced trailer is missing.
        :raises InvalidRequest: it is no value of its algorithm.
        """
        if self.content_md5 is not None and self.content_md5 != md5.md5():
            raise BadDigest(
                ExpectedDigest=encode_base64(self.content_md5),
                CalculatedDigest=encode_base64(md5.md5()),
            )
        if self.sha256 is not None:
            computed = rest.sha256().hex()
            if computed != self.sha256:
                raise XAmzContentSHA256Mismatch(
                    ClientComputedContentSHA256=self.sha256, S3ComputedContentSHA256=computed
                )
        algorithm = self.chosen
        checksum = (md5 if algorithm is _MD5 else rest).checksum(algorithm)
        if self.checksum is not None:
            expected = self.checksum.value
        elif self.trailer is not None:
            expected = _trailing(self.trailer, trailers)
        else:
            return checksum
        if expected != checksum.value:
            raise BadDigest(f"The {algorithm} you specified did not match the calculated checksum.")
        return checksum


def _trailing(algorithm: ChecksumAlgorithm, trailers: Mapping[str, str]) -> str:
    value = trailers.get(algorithm.header)
    if value is None:
        raise MalformedTrailerError
    if decode_base64(value, algorithm.size) is None:
        raise InvalidRequest(f"Value for {algorithm.header} trailing header is invalid.")
    return value
