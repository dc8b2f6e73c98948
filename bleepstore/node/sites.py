"""Whether metadata and the place go together where a configuration looks for object data."""

from __future__ import annotations

import os.path
from typing import cast

from bleepstore.blobs.local_layout import MARKER
from bleepstore.config.sections import Config
from bleepstore.interfaces.in_place import IInPlaceStore
from bleepstore.node.problems import StartError
from bleepstore.node.stores import Blobs, Embedded


def require_object_data(config: Config, metadata: Embedded) -> None:
    """See that there is a blob store where metadata names blobs: the directory on which a disk
    should be mounted is a new store else, and what it is given is hidden by the disk later.

    To be called before the store is opened, which makes it.

    :param metadata: what there is in an embedded node; one in memory names none.
    :raises StartError: there is none.
    """
    site, storage = metadata.site, config.storage
    setting, place, marker = {
        "local": ("local.root_dir", storage.local.root_dir, MARKER),
        "sqlite": ("sqlite.path", storage.sqlite.path, ""),
    }.get(storage.backend, ("", "", ""))
    made = os.path.join(place, marker) if marker else place
    if not made or os.path.lexists(made):
        return
    if site is not None and not site.get() and site.names_blobs():
        raise StartError(
            f"storage.{setting}: there is no object data at {place}, but {_index(config)} names "
            "some: is its disk mounted? To go on without what is lost, make an empty file "
            f"{made}"
        )


def require_site(config: Config, metadata: Embedded, blobs: Blobs) -> None:
    """Record the place of an index that has none yet; refuse another one than it has.

    :param metadata: what the index is; one in memory begins anew each time.
    :param blobs: where its objects lie by the configuration.
    :raises StartError: they lie somewhere else.
    """
    site, configured = metadata.site, _place_of(blobs)
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


def require_moved(config: Config, metadata: Embedded, blobs: Blobs) -> str:
    """Record another bucket, account or cloud, to which somebody has copied everything; gives what
    was recorded before.

    :raises StartError: nothing is, or objects have other names there.
    """
    site, configured = metadata.site, _place_of(blobs)
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


def _place_of(blobs: Blobs) -> str:
    """Empty for a store that is in no cloud."""
    return cast(IInPlaceStore, blobs).site if IInPlaceStore.providedBy(blobs) else ""


def _same_names(known: str, configured: str) -> bool:
    """Whether objects have the same names in two places: whether the prefix is the same."""
    return bool(configured) and known.partition("/")[2] == configured.partition("/")[2]


def _index(config: Config) -> str:
    return f"metadata.sqlite.path: {config.metadata.sqlite.path}"
