"""Whether an index and the place in a cloud go together that a configuration puts it before."""

from __future__ import annotations

from bleepstore.config.sections import Config
from bleepstore.metadata.site import Site
from bleepstore.node.problems import StartError


def require_site(config: Config, metadata: object, blobs: object) -> None:
    """Record the place of an index that has none yet; refuse another one than it has.

    :param metadata: what the index is; one in memory begins anew each time.
    :param blobs: where its objects lie by the configuration.
    :raises StartError: they lie somewhere else.
    """
    site, configured = _site_of(metadata), _place_of(blobs)
    known = "" if site is None else site.get()
    if site is None or known == configured:
        return
    if site.is_used():
        if known:
            here = configured or f"storage.backend: {config.storage.backend}"
            advice = (
                "configure that again, or another index; or, if everything was copied, run "
                "bleepstore gateway moved"
                if _same_names(known, configured)
                else "configure that again, or another index"
            )
            raise StartError(
                f"{_index(config)} is the index of objects in {known}, and the configuration has "
                f"{here}; {advice}"
            )
        if not site.is_in_cloud():
            raise StartError(
                f"{_index(config)} is the index of objects that are in no cloud; choose another "
                f"one for {configured}"
            )
    if configured:
        site.record(configured)


def require_moved(config: Config, metadata: object, blobs: object) -> str:
    """Record another bucket, account or cloud, to which somebody has copied everything; gives what
    was recorded before.

    :raises StartError: nothing is, or objects have other names there.
    """
    site, configured = _site_of(metadata), _place_of(blobs)
    known = "" if site is None else site.get()
    if site is None or not known:
        raise StartError(f"{_index(config)} is no index of objects in a cloud yet")
    if not _same_names(known, configured):
        raise StartError(
            f"{_index(config)} is the index of objects in {known}, and in {configured} they have "
            "other names; begin another index, and import them"
        )
    site.record(configured)
    return known


def _site_of(metadata: object) -> Site | None:
    found: Site | None = getattr(metadata, "site", None)
    return found


def _place_of(blobs: object) -> str:
    """Empty for a store that is in no cloud."""
    found: str = getattr(blobs, "site", "")
    return found


def _same_names(known: str, configured: str) -> bool:
    """Whether objects have the same names in two places: whether the prefix is the same."""
    return bool(configured) and known.partition("/")[2] == configured.partition("/")[2]


def _index(config: Config) -> str:
    return f"metadata.sqlite.path: {config.metadata.sqlite.path}"
