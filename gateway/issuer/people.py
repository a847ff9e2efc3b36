"""Who is known to the issuer: keyed look-ups, sealed identities, proxies.

A person is found by HMAC-SHA256 of the document under a key from the key file; whoever
steals the database alone can neither list numbers nor test one. The identity is sealed
with AES-256-GCM, bound to that look-up, so that it cannot be moved to another row. The
same box seals free text (what is said in a correction).

The key file is a private JWK of type ``oct``; both keys are derived from it. It is the
issuer's alone, is never rotated (a look-up could not be found again) and must be kept
apart from backups of the database.

A **proxy** is somebody who declared for somebody else: the relation is recorded with
the declaration and stands from then on. The proxy must have declared before. Whether an
application may let somebody declare for another is its own duty; the client is recorded.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.attestation import base64url
from gateway.codes import Document, DocumentType
from gateway.issuer.errors import IdentityError, NotFoundError
from gateway.issuer.store import schema
from gateway.issuer.values import Identity, Sex
from gateway.wire.private_files import read_private_key, write_private_jwk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from gateway.issuer.store import IssuerStore

SECRET_BYTES: Final = 32
_NONCE_BYTES: Final = 12
"""NIST SP 800-38D: 96 bits; random ones may be used 2**32 times under a key."""


class IdentityBox:
    """Finds and seals; see the module.

    Args:
        secret: 32 bytes from the key file.
        random: gives random bytes, ``os.urandom``.
    """

    def __init__(self, secret: bytes, random: Callable[[int], bytes]) -> None:
        if len(secret) != SECRET_BYTES:
            raise IdentityError(f"the identity key has not {SECRET_BYTES} bytes")
        self._find = _derive(secret, b"lookup")
        self._digest = _derive(secret, b"digest")
        self._box = AESGCM(_derive(secret, b"seal"))
        self._random = random

    def lookup(self, document: Document) -> bytes:
        """The keyed digest by which a document's holder is found."""
        text = int(document.type).to_bytes(2, "big") + document.number.encode()
        return hmac.digest(self._find, text, hashlib.sha256)

    def digest(self, identity: Identity) -> bytes:
        """Tells whether an identity is the one already held."""
        return hmac.digest(self._digest, _to_bytes(identity), hashlib.sha256)

    def seal(self, lookup: bytes, identity: Identity) -> bytes:
        """Seal an identity for the row of its look-up."""
        return self._seal(_to_bytes(identity), b"identity" + lookup)

    def open(self, lookup: bytes, sealed: bytes) -> Identity:
        """Open a sealed identity.

        Raises:
            IdentityError: sealed under another key, or for another row.
        """
        return _from_bytes(self._open(sealed, b"identity" + lookup))

    def seal_text(self, text: str, person_id: int) -> bytes:
        """Seal free text about a person."""
        return self._seal(text.encode(), b"text" + person_id.to_bytes(8, "big"))

    def open_text(self, sealed: bytes, person_id: int) -> str:
        """Open free text about a person.

        Raises:
            IdentityError: as :meth:`open`.
        """
        return self._open(sealed, b"text" + person_id.to_bytes(8, "big")).decode()

    def _seal(self, data: bytes, bound_to: bytes) -> bytes:
        nonce = self._random(_NONCE_BYTES)
        return nonce + self._box.encrypt(nonce, data, bound_to)

    def _open(self, sealed: bytes, bound_to: bytes) -> bytes:
        try:
            return self._box.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to)
        except (InvalidTag, ValueError):
            raise IdentityError("a sealed identity does not open under this key") from None


def create_identity_key(path: Path, random: Callable[[int], bytes]) -> None:
    """Write a new key file, readable by its owner only.

    Raises:
        FileError: it exists already, and is kept; or it cannot be written.
    """
    secret = base64url.encode(random(SECRET_BYTES))
    write_private_jwk(path, {"kty": "oct", "use": "enc", "k": secret})


def load_identity_box(path: Path, random: Callable[[int], bytes]) -> IdentityBox:
    """Read the key file.

    Raises:
        FileError: it is missing, others may read it, or it is no such key.
    """

    def parse(jwk: dict[str, Any]) -> IdentityBox:
        secret = jwk.get("k")
        if jwk.get("kty") != "oct" or not isinstance(secret, str):
            raise ValueError("not a key of type oct")
        decoded = base64url.decode(secret.encode())
        if len(decoded) != SECRET_BYTES:
            raise ValueError("a key of another length")
        return IdentityBox(decoded, random)

    return read_private_key(path, parse)


@dataclass(frozen=True, slots=True, repr=False)
class Known:
    """A person's row and current code, locked where it was read to be changed."""

    person_id: int
    lookup: bytes
    digest: bytes
    home: int
    code: Row[Any]


class People:
    """Finds people; see the module."""

    def __init__(self, store: IssuerStore, box: IdentityBox) -> None:
        self._store = store
        self.box = box

    async def find(self, document: Document) -> int | None:
        """The number of the person who holds a document; None: never declared."""
        async with self._store.read() as connection:
            return await self.find_on(connection, document)

    async def find_on(self, connection: AsyncConnection, document: Document) -> int | None:
        """:meth:`find` within a transaction."""
        table = schema.people
        found: int | None = await connection.scalar(
            sa.select(table.c.id).where(table.c.lookup == self.box.lookup(document))
        )
        return found

    async def identity(self, person_id: int) -> Identity:
        """Who a person is.

        Raises:
            NotFoundError: there is no such person.
            IdentityError: the key file is another.
        """
        table = schema.people
        async with self._store.read() as connection:
            row = (
                await connection.execute(
                    sa.select(table.c.lookup, table.c.sealed).where(table.c.id == person_id)
                )
            ).one_or_none()
        if row is None:
            raise NotFoundError("no such person")
        return self.box.open(row.lookup, row.sealed)

    async def check_key(self) -> None:
        """Refuse a key that is not the one this database was made with.

        Under another key nobody is found any more: everybody would be told that they
        never declared, and who declares again would stand twice.

        Raises:
            IdentityError: the key file is another.
        """
        people = schema.people
        newest = sa.select(people.c.lookup, people.c.sealed).order_by(people.c.id.desc()).limit(1)
        async with self._store.read() as connection:
            row = (await connection.execute(newest)).one_or_none()
        if row is not None:
            self.box.open(row.lookup, row.sealed)

    async def may_act(self, person_id: int, proxy: Document) -> bool:
        """Whether somebody is recorded who may act for a person."""
        async with self._store.read() as connection:
            return await self.may_act_on(connection, person_id, proxy)

    async def may_act_on(
        self, connection: AsyncConnection, person_id: int, proxy: Document
    ) -> bool:
        """:meth:`may_act` within a transaction."""
        people, proxies = schema.people, schema.proxies
        found = await connection.scalar(
            sa.select(proxies.c.proxy_id)
            .join(people, people.c.id == proxies.c.proxy_id)
            .where(proxies.c.person_id == person_id, people.c.lookup == self.box.lookup(proxy))
        )
        return found is not None

    async def known(self, connection: AsyncConnection, lookup: bytes) -> Known | None:
        """A person to be changed, with the code's row locked; None: never declared.

        ``IssuerStore.lock_people`` comes first.
        """
        people, codes = schema.people, schema.codes
        row = (
            await connection.execute(
                sa.select(people.c.id, people.c.digest, people.c.home, codes)
                .join(codes, codes.c.person_id == people.c.id)
                .where(people.c.lookup == lookup)
                .with_for_update(key_share=True, of=codes)
            )
        ).one_or_none()
        return None if row is None else Known(row.id, lookup, row.digest, row.home, row)


def _derive(secret: bytes, purpose: bytes) -> bytes:
    info = b"hutong/v1/issuer/" + purpose
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(secret)


def _to_bytes(identity: Identity) -> bytes:
    members = [
        int(identity.document.type),
        identity.document.number,
        identity.name,
        int(identity.sex),
        identity.nationality,
        identity.phone,
        identity.division,
    ]
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()


def _from_bytes(data: bytes) -> Identity:
    kind, number, name, sex, nationality, phone, division = json.loads(data)
    return Identity(
        document=Document(DocumentType(kind), number),
        name=name,
        sex=Sex(sex),
        nationality=nationality,
        phone=phone,
        division=division,
    )
