"""Configuration: typed, frozen, and taken from four sources.

Built-in defaults, then a YAML file, then the environment, then options; the last one wins.
``sections`` declares the settings, ``load`` makes them, ``refusals`` says which combinations are
not allowed.  ``cli.configuration_page`` makes docs/configuration.md of the declarations.
"""
