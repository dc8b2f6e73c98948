"""Signed HTTP to other clouds: requests and answers that stream, deadlines, retries, credentials.

Imported only where a gateway is configured: a node that keeps its own data pays nothing for it.

``requests`` has the values, ``client`` makes one exchange, ``service`` makes a call of it: signed,
tried again where that is safe, its refusal read.  ``failures`` says what can go wrong, and what
that is in S3's words.  treq lives only here; its agent is ours (``exchange``), because treq's own
would decode gzip, follow redirects and rewrite the URL that was signed.  Below the agent there is
HTTP/1.1 of our own (``connection``, ``answers``, ``idle``): twisted.web's took half of the time of
a small request.

Knows no blobs, no buckets of ours and no metadata.
"""
