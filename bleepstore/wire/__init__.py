"""S3 on the wire: names of operations, targets, headers, XML, dates and tokens, as pure functions.

Bytes and values go in, values and bytes come out.  Nothing here reads a clock, a file or
a socket, and nothing knows Twisted.  Whatever a client sends, only a
:class:`bleepstore.errors.StoreError` comes out of these functions.
"""
