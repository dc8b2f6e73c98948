"""What is wrong with a configuration, all of it at once."""

from __future__ import annotations

Found = list[tuple[str, str]]
"""Dotted keys, and what is wrong with each."""


class ConfigError(Exception):
    """The configuration cannot be used.

    :ivar problems: one sentence each, saying where: ``FILE:LINE: key: …``, the name of an
        environment variable, or an option.  None shows a secret.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))
