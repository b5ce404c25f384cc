"""PostgreSQL from Debian's package: a cluster that the tests share."""

from __future__ import annotations

from sekisho.bench.cluster import Cluster

__all__ = ["Cluster", "close_shared", "shared_cluster"]

_shared: list[Cluster] = []


def shared_cluster() -> Cluster:
    """Return the cluster that tests share; each makes databases of its own in it. `close_shared` ends it."""
    if not _shared:
        _shared.append(Cluster())
    return _shared[0]


def close_shared() -> None:
    while _shared:
        _shared.pop().remove()
