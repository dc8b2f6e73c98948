"""Composition: one configuration becomes one ordered tree of services.

The only package that names concrete stores.  ``tree`` is the way in; it knows no command line and
no twistd (``tap`` does), and is given the reactor.
"""
