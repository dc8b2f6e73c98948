"""Tools beside the server, each run as ``python -m bleepstore.cli.NAME``."""
