"""Pure values and pure decisions: what the store *is*, without I/O, clock, dice or Twisted.

Times are integers, milliseconds since the epoch in UTC.  ETags are kept without
their quotes.  Keys are ``str`` whose UTF-8 form has 1 to 1,024 bytes; their order
is that of the UTF-8 bytes, which is also the order of Python's ``str``.
"""
