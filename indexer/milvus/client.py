"""The connection to Milvus, and what it can refuse: the only place that imports pymilvus."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from indexer.milvus.address import TOKEN_VARIABLE, Address, read_token
from model.errors import GalleryError, StorageError

CONNECT_TIMEOUT_S = 10.0
# Of one call. Without it, the library tries a server that is gone for minutes.
CALL_TIMEOUT_S = 30.0
# To serve: what was written seconds ago may be missing. To check a write: everything is there.
SERVE = "Bounded"
VERIFY = "Strong"
_UNREACHABLE = ("fail connecting", "unavailable", "failed to connect", "deadline", "timed out")
_FORBIDDEN = ("auth check failure", "unauthenticated", "permission", "privilege", "not authorized")


def connect(address: Address) -> Any:
    """Open a `pymilvus.MilvusClient`.

    Raises:
        GalleryError: pymilvus is not installed.
        StorageError: no server there, or it does not know the user.
    """
    try:
        from pymilvus import MilvusClient
    except ImportError as error:
        raise GalleryError(
            f"{address} is a Milvus gallery, and pymilvus is not installed ({error}); install the "
            "extra `milvus` of this program"
        ) from error
    # Every refusal is raised as well; the library's copy in the log is a traceback.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    with milvus_errors(address, "connecting to"):
        return MilvusClient(
            uri=address.uri,
            token=read_token(),
            db_name=address.database,
            timeout=CONNECT_TIMEOUT_S,
        )


@contextmanager
def milvus_errors(address: Address, doing: str) -> Iterator[None]:
    """Turn what the server or the connection raises into a StorageError sentence."""
    import grpc
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except (MilvusException, grpc.RpcError, OSError) as error:
        raise StorageError(_explain(address, doing, error)) from error


def find_version(client: Any, address: Address) -> tuple[int, int]:
    """Major and minor number of the server's version; (0, 0) where it does not say."""
    with milvus_errors(address, "asking"):
        said = str(client.get_server_version(timeout=CALL_TIMEOUT_S))
    found = re.search(r"(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found and not address.is_lite else (0, 0)


def _explain(address: Address, doing: str, error: BaseException) -> str:
    text = str(getattr(error, "message", "") or error)
    said = (text.splitlines() or [type(error).__name__])[0][:300]
    lower = text.lower()
    if any(word in lower for word in _FORBIDDEN):
        return (
            f"the Milvus server {address.server} refuses this user while {doing} {address}; set "
            f"{TOKEN_VARIABLE} to USER:PASSWORD of one who may"
        )
    if any(word in lower for word in _UNREACHABLE):
        return (
            f"the Milvus server {address.server} does not answer while {doing} {address}; start "
            f"it, or check the address and the network ({said})"
        )
    return f"{doing} {address} failed: the Milvus server says {said!r}"
