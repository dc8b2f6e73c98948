"""Metadata on SQLite: which buckets, objects, uploads and keys there are, and where bytes lie.

The layers, from the bottom; each module knows only those above it in this list:

- ``schema``: the tables and their version; ``records``: the stored form of values;
- ``database``: files, connections, pragmas, what a failing disk looks like;
- ``transaction``: counters and statements of one open transaction; ``contents`` and
  ``versions``: the two things it holds together;
- ``assembly``: ETag and checksum of parts; ``apply_*``: one deterministic function per command;
  ``machine``: groups of commands;
- ``snapshot``: what the point reads of one turn share; ``reader``, ``bounds``, ``listing``,
  ``upload_listing``: queries; ``readers``: those of threads; ``digest``: the hash of all there is;
- ``slices``: long work, a little at a time; ``groupcommit`` and ``checkpoints``: when to commit,
  and when to empty the log; ``sessions``: which proposals were applied; ``copies``: whole copies;
- ``queries``, ``sqlite``, ``memory``: the implementations of the interfaces; ``replica``: the
  state machine of a replicated log.

From ``machine`` down nothing knows where commands come from: a replica drives the same database
from its log, with its applied index as the mark of each group.
"""
