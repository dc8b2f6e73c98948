"""The S3 front: HTTP in, S3's semantics through the use cases, HTTP out.

``front`` is the pipeline, ``endpoints_*`` are the operations by subject (Klein endpoints named
as in the table of operations), ``pages`` what is served beside S3.  Spelling is ``wire``'s,
signatures are ``auth``'s, and what S3 *means* is ``objectstore``'s.
"""
