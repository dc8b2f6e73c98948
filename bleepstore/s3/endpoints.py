"""All endpoints, over one object store."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from bleepstore.objectstore.store import ObjectStore
from bleepstore.s3.documents import Documents
from bleepstore.s3.endpoints_acl import AclEndpoints
from bleepstore.s3.endpoints_buckets import BucketEndpoints
from bleepstore.s3.endpoints_copies import CopyEndpoints
from bleepstore.s3.endpoints_listing import ListingEndpoints
from bleepstore.s3.endpoints_objects import ObjectEndpoints
from bleepstore.s3.endpoints_uploads import UploadEndpoints
from bleepstore.s3.serving import Endpoints


def endpoint_groups(store: ObjectStore, region: str, clock: IReactorTime) -> tuple[Endpoints, ...]:
    """What :class:`S3Front` is given.

    :param clock: paces the blanks of answers that take long, and the pages of listings.
    """
    documents = Documents()
    return (
        BucketEndpoints(store.buckets, documents, region),
        ListingEndpoints(store.listings, region, clock),
        ObjectEndpoints(store.objects, documents),
        UploadEndpoints(store.uploads, documents, clock),
        CopyEndpoints(store.copies, store.uploads, clock),
        AclEndpoints(store.buckets, store.objects, documents),
    )
