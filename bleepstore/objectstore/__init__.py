"""The use cases: what S3 *means*, between a front and the two stores.

Takes values of the model and of ``wire``, gives values of the model, and refuses with a
StoreError.  Knows no HTTP, no SQL, and neither of the stores but by its interface.
:class:`ObjectStore` holds all of them.
"""

from bleepstore.objectstore.store import ObjectStore

__all__ = ["ObjectStore"]
