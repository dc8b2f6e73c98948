"""AWS Signature Version 4 for S3: who signed a request, and whether they did.  No I/O, no clock.

``sigv4`` reads the claim of a request and verifies it; ``chunks`` follows the running signature
of streamed bodies; ``signing`` is the other side, for clients of other clouds and for tests;
``sharedkey`` is Azure's signature, for clients alone.
The rules are those of "Authenticating Requests (AWS Signature Version 4)" in the Amazon S3 API
Reference.
"""
