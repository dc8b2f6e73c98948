"""Makes ``twistd bleepstore`` known to Twisted's plugin system, and nothing else."""

from twisted.application.service import ServiceMaker

bleepstore = ServiceMaker(
    "BleepStore",
    "bleepstore.tap",
    "An S3-compatible object store.",
    "bleepstore",
)
