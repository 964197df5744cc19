"""What can be wrong with a store, as errors that say what to do. `infra.store` is the place to import them from."""

from __future__ import annotations


class StoreError(RuntimeError):
    """The store cannot be used, or holds something that is not what its name says."""


class StoreRefused(StoreError, PermissionError):
    """The store does not let us: credentials, rights, or a bucket that does not exist. A setting is wrong or has expired."""


class StoreUnavailable(StoreError, ConnectionError):
    """The store does not answer, or says that it cannot just now. It may be back in a moment."""
