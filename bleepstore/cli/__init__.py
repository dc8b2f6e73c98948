"""Tools beside the server: ``cluster`` and ``gateway`` are commands of ``bleepstore``,
``configuration_page`` is run as ``python -m bleepstore.cli.configuration_page``."""
