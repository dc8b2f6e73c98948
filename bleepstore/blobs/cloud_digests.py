"""Whether a cloud tells the MD5 of what it was sent.

To compute the MD5 of a large body costs a gateway more than all else that it does with it, and most
clouds compute it as well and say what it is: S3 as the ETag of what was put whole, unless it is
encrypted by SSE-KMS or SSE-C (API Reference, "Object"), Cloud Storage as md5Hash of what was not
composed.  Whether one does is found out by comparing; while it is so, its word is taken.
"""

from __future__ import annotations

import re

from bleepstore.errors import InternalError, ServiceUnavailable

_MD5 = re.compile("[0-9a-f]{32}")


class CloudDigests:
    """What one cloud's answers have shown so far.

    :ivar told: its last answers were MD5s, by all that is known.
    """

    def __init__(self) -> None:
        self.told = False

    def seen(self, there: str, here: str) -> None:
        """A body that the cloud has checked was answered like this.

        :param there: in hex if it is an MD5.
        :param here: the MD5, in hex.
        """
        self.told = there == here

    def doubt(self) -> None:
        """An answer has said that what looks like an MD5 is none."""
        self.told = False

    def agreed(self, there: str, here: str) -> str:
        """The MD5 of a body that has been sent.

        :param there: as the cloud has answered, in hex if it is an MD5.
        :param here: as it was computed; empty: that was left to the cloud.
        :raises InternalError: the cloud has kept other bytes than were sent.
        :raises ServiceUnavailable: what it was left to the cloud to say has not come.
        """
        before, like = self.told, bool(_MD5.fullmatch(there))
        if not here:
            self.told = before and like
            if not self.told:
                raise ServiceUnavailable("The body could not be checked. Please send it again.")
            return there
        self.told = there == here
        if before and like and not self.told:
            raise InternalError("the cloud has kept other bytes than were sent")
        return here
