"""Blob stores: immutable bytes under an id, and nothing of S3.

- ``local``: one file a blob; ``memory``: in this process, with snapshots if asked for;
  ``sqlite``: rows of chunks in a file of its own.
- ``local_layout`` and ``local_file``, ``sqlite_file``, ``memory_snapshot``: what lies on the disk;
- ``disk``: what stores on a disk share: the lock, whole writes, and what a full disk looks like.

All of them pass ``tests/contract/blobs.py``.
"""
