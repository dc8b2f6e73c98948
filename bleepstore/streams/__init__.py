"""Moving bytes: threads and lanes, digests, the write path and the read path.

- ``threads``: the pool that everything blocking runs in, and lanes that keep calls in order;
- ``digests``: MD5, SHA and CRCs as they go by;
- ``expectations``: what a client says of its bytes, compared with what they are;
- ``ingest``: from a payload to inline bytes or a blob, digested and compared;
- ``egress``: from extents to a response, read ahead by one piece;
- ``tls``: a client's side of TLS, for those who speak to other machines.

Both paths hold a bounded number of bytes, whatever the two ends do.
"""
