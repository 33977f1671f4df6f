"""Where a gallery on a Milvus server is: an address in the place of an index folder.

    milvus://HOST[:PORT]/[DATABASE/]COLLECTION       a server
    milvus+tls://HOST[:PORT]/[DATABASE/]COLLECTION   the same, encrypted
    milvus-lite:PATH.db/COLLECTION                   a file, for tests and trials

User and password are no part of it: addresses are printed and logged.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

from model.errors import ParameterError

TOKEN_VARIABLE = "SELVEDGE_MILVUS_TOKEN"
DEFAULT_PORT = 19530
# Milvus allows 255 characters; `__2_facts` comes behind.
_COLLECTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
# A `Path` of an address has lost one of its slashes.
_SCHEME = re.compile(r"(milvus(?:\+tls|-lite)?):(/*)(.*)", re.DOTALL)
_SHAPE = "expected milvus://HOST:PORT/COLLECTION"


class Address(NamedTuple):
    """A collection on a server; `uri` is what the client library takes."""

    uri: str
    database: str
    collection: str
    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def server(self) -> str:
        """The server alone, for a sentence."""
        return self.uri.split("://")[-1]

    @property
    def is_lite(self) -> bool:
        """True for a file in place of a server."""
        return "://" not in self.uri


def is_address(index: Path | str) -> bool:
    """Say whether this names a gallery on a server, and not a folder.

    >>> is_address(Path("milvus://localhost/shop")), is_address(Path("out/milvus"))
    (True, False)
    """
    return _SCHEME.fullmatch(str(index)) is not None


def parse_address(index: Path | str) -> Address:
    """Take an address apart.

    Raises:
        ParameterError: it lacks a part, or holds a password.

    >>> parse_address("milvus://db.example/shop")[:3]
    ('http://db.example:19530', '', 'shop')
    """
    match = _SCHEME.fullmatch(str(index))
    if match is None:
        raise ParameterError(f"{index} is no address of a Milvus gallery; {_SHAPE}")
    scheme, slashes, rest = match.groups()
    if "@" in rest:
        raise ParameterError(
            f"the address of the Milvus gallery holds a user and a password; set {TOKEN_VARIABLE} "
            "to USER:PASSWORD in the environment instead, and leave them out"
        )
    *place, collection = rest.split("/")
    if not place or not place[0] or not _COLLECTION.fullmatch(collection):
        raise ParameterError(
            f"{index} names no collection of letters, digits and _, up to 200; {_SHAPE}"
        )
    if scheme == "milvus-lite":
        return _parse_file(str(index), "/".join(["" if slashes else ".", *place]), collection)
    host, *database = place
    if len(database) > 1:
        raise ParameterError(f"{index} has too many parts; {_SHAPE}, or with /DATABASE/ between")
    prefix = "https" if scheme.endswith("tls") else "http"
    port = "" if re.search(r":\d+$", host) else f":{DEFAULT_PORT}"
    name = "/".join([f"{host}{port}", *database, collection])
    return Address(f"{prefix}://{host}{port}", "".join(database), collection, f"{scheme}://{name}")


def refuse_address(index: Path | str) -> None:
    """Refuse an address where only a folder can be used; ParameterError says what to do."""
    if is_address(index):
        raise ParameterError(
            f"{index} is a gallery on a Milvus server, and this needs an index folder; change the "
            "folder, and bring it to the server with `python -m indexer copy --from DIR --to ...`"
        )


def read_token() -> str:
    """What the server is shown: USER:PASSWORD or a key; empty where it asks for nothing."""
    return os.environ.get(TOKEN_VARIABLE, "")


def _parse_file(text: str, path: str, collection: str) -> Address:
    if not path.endswith(".db"):
        raise ParameterError(f"{text} names no file; expected milvus-lite:PATH.db/COLLECTION")
    return Address(path, "", collection, f"milvus-lite:{path.removeprefix('./')}/{collection}")
