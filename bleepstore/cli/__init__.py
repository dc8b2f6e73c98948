"""Tools beside the server: ``cluster`` is a command of ``bleepstore``, the others are run as
``python -m bleepstore.cli.NAME``."""
