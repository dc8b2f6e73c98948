"""The files that AWS's tools share: ``~/.aws/credentials`` and ``~/.aws/config``.  Pure.

Source: "Shared config and credentials files", AWS SDKs and Tools Reference Guide.  A profile's
settings may be in either file; the credentials file comes first.
"""

from __future__ import annotations

from configparser import Error, RawConfigParser

from bleepstore.remote.failures import CredentialsUnavailable

Profile = dict[str, str]


def parse_profiles(credentials: str | None, config: str | None) -> dict[str, Profile]:
    """Profile name → its settings, names in lower case.

    :param credentials: the text of the credentials file, if there is one.
    :param config: the text of the config file; its sections are called ``profile NAME``, but
        ``default``.
    :raises CredentialsUnavailable: one of them is malformed; never quotes it.
    """
    profiles: dict[str, Profile] = {}
    for text, prefix, name in (
        (config, "profile", "config"),
        (credentials, "", "credentials"),
    ):
        if text is None:
            continue
        for section, settings in _sections(text, name).items():
            profile = section
            if prefix and section != "default":
                word, _, profile = section.partition(" ")
                if word != prefix:
                    continue  # sso-session, services, plugins
                profile = profile.strip().strip("\"'")
            profiles.setdefault(profile, {}).update(settings)
    return profiles


def _sections(text: str, name: str) -> dict[str, Profile]:
    parser = RawConfigParser(
        default_section="\0", strict=False, interpolation=None, delimiters=("=",)
    )
    try:
        parser.read_string(text)
    except Error:
        raise CredentialsUnavailable(f"AWS's shared {name} file is malformed") from None
    return {section: dict(parser[section]) for section in parser.sections()}
