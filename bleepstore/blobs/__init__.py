"""Blob stores: immutable bytes under an id, and nothing of S3.

- ``local``: one file a blob; ``memory``: in this process, with snapshots if asked for;
  ``sqlite``: rows of chunks in a file of its own.
- ``disk`` has what stores on a disk share: the mark on a directory, the lock, and what a full
  disk looks like.

All of them pass ``tests/contract/blobs.py``.
"""
