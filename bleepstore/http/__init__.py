"""HTTP/1.1 (RFC 9110, RFC 9112) on Twisted: bytes in, requests out, answers back in order.

It knows no S3: a handler is called with each request's head, and errors become bodies by an
injected function.  ``factory`` is the way in; ``site`` puts twisted.web resources on top.
"""
