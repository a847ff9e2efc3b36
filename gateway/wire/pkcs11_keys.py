"""Signing keys that never leave their module: PKCS #11, as an extra.

A key file may name a key in a module in place of holding one, by its RFC 7512 URI::

    {"pkcs11": "pkcs11:token=hangzhou;object=attest?module-path=M.so&pin-source=file:pin.txt"}

The URI names the token and the object; the module stands in ``module-path``, the PIN
alone in the file of ``pin-source`` (from the folder of the key file, readable by its
owner only). A PIN in the URI itself is refused. The key is EC P-256 with its public
half beside it under the same name; it signs ES256 by ``CKM_ECDSA``.

Needs the extra ``hutong[hsm]`` (python-pkcs11).
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from gateway.attestation.jwk import COORDINATE_BYTES
from gateway.attestation.keys import signing_key
from gateway.wire.files import FileError, read_bounded

if TYPE_CHECKING:
    from pathlib import Path
    from typing import NoReturn

    from gateway.attestation.keys import SigningKey

MEMBER: Final = "pkcs11"
"""The one member of a key file that names a key in a module."""

MAX_PIN_BYTES: Final = 256
"""A PIN is typed."""

_SCHEME: Final = "pkcs11:"
_P256: Final = "secp256r1"
# PKCS #11 gives a point as an octet string (tag, length), then uncompressed: 04 x y.
_POINT_BYTES: Final = 1 + 2 * COORDINATE_BYTES


@dataclass(frozen=True, slots=True)
class Pkcs11Uri:
    """Where a key stands.

    Attributes:
        module: path of the module's shared library.
        token: label of the token.
        label: label of the key pair.
        pin_file: file that holds the PIN alone.
    """

    module: str
    token: str
    label: str
    pin_file: str


def parse_uri(text: str) -> Pkcs11Uri:
    """Read an RFC 7512 URI.

    Raises:
        FileError: something is missing or more than this profile knows; the message
            repeats nothing of the URI.
    """
    path, _, query = text.removeprefix(_SCHEME).partition("?")
    try:
        pairs = [pair.split("=", 1) for pair in path.split(";")]
        where = {name: unquote(value, errors="strict") for name, value in pairs}
        how = dict(parse_qsl(query, strict_parsing=True, errors="strict"))
    except (ValueError, UnicodeDecodeError):
        where, how = {}, {}
    if "pin-value" in how:
        raise FileError(
            "a PKCS #11 URI holds a PIN", fix="put it into a file and name it by pin-source"
        )
    pin = how.get("pin-source", "")
    if (
        not text.startswith(_SCHEME)
        or set(where) != {"token", "object"}
        or set(how) != {"module-path", "pin-source"}
        or not pin.startswith("file:")
    ):
        raise FileError(
            "a key file names no key in a module",
            fix="write pkcs11:token=T;object=O?module-path=M&pin-source=file:F",
        )
    return Pkcs11Uri(how["module-path"], where["token"], where["object"], pin.removeprefix("file:"))


def open_signing_key(uri: Pkcs11Uri, folder: Path) -> SigningKey:
    """Find a key in its module.

    Args:
        uri: where it stands.
        folder: from which the PIN's file is named.

    Raises:
        FileError: the extra or the module is missing, the token, PIN or key is not
            there, or the key is not of P-256.
    """
    pkcs11, session = _open(uri, folder)
    try:
        private = session.token.get_key(
            object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=uri.label
        )
        public = session.token.get_key(object_class=pkcs11.ObjectClass.PUBLIC_KEY, label=uri.label)
        point = bytes(public[pkcs11.Attribute.EC_POINT])
    except pkcs11.PKCS11Error as error:
        raise _refused("the key pair is not there, or more than once", error) from None
    key = _ModuleKey(private, _public(point), pkcs11.Mechanism.ECDSA, session.turn)
    return signing_key(key)


def make_signing_key(uri: Pkcs11Uri, folder: Path) -> SigningKey:
    """Make a key pair in a module, not extractable, and find it.

    Raises:
        FileError: as :func:`open_signing_key`, or one stands there already.
    """
    pkcs11, session = _open(uri, folder)
    from pkcs11.util.ec import encode_named_curve_parameters  # noqa: PLC0415 - an extra

    try:
        if any(True for _ in session.token.get_objects({pkcs11.Attribute.LABEL: uri.label})):
            raise FileError("a key of that name stands in the token already and is kept")
        curve = session.token.create_domain_parameters(
            pkcs11.KeyType.EC,
            {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(_P256)},
            local=True,
        )
        curve.generate_keypair(store=True, label=uri.label)
    except pkcs11.PKCS11Error as error:
        raise _refused("the module makes no key", error) from None
    return open_signing_key(uri, folder)


class _ModuleKey(ec.EllipticCurvePrivateKey):
    """A private key that is asked to sign and shows nothing else."""

    def __init__(
        self,
        private: Any,
        public: ec.EllipticCurvePublicKey,
        mechanism: Any,
        turn: threading.Lock,
    ) -> None:
        self._private = private
        self._public = public
        self._mechanism = mechanism
        self._turn = turn

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        digest = bytes(data)
        if not isinstance(signature_algorithm.algorithm, Prehashed):
            digest = hashlib.sha256(digest).digest()
        with self._turn:
            raw = bytes(self._private.sign(digest, mechanism=self._mechanism))
        r, s = raw[:COORDINATE_BYTES], raw[COORDINATE_BYTES:]
        return encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._public.curve

    @property
    def key_size(self) -> int:
        return self._public.key_size

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        raise NotImplementedError("a signing key agrees on nothing")

    def private_numbers(self) -> NoReturn:
        raise NotImplementedError("the key does not leave its module")

    def private_bytes(self, encoding: Any, format: Any, encryption_algorithm: Any) -> NoReturn:  # noqa: A002 - the library's name
        raise NotImplementedError("the key does not leave its module")

    def __copy__(self) -> _ModuleKey:
        return self

    def __deepcopy__(self, memo: Any) -> _ModuleKey:
        return self


@dataclass(frozen=True, slots=True)
class _Session:
    """A token that is logged in, and whose turn it is: it does one thing at a time."""

    token: Any
    turn: threading.Lock


# A module logs a process into a token once, for all its keys.
_sessions: dict[tuple[str, str], _Session] = {}
_opening = threading.Lock()


def _open(uri: Pkcs11Uri, folder: Path) -> tuple[Any, _Session]:
    try:
        import pkcs11  # noqa: PLC0415 - an extra
    except ImportError:
        raise FileError(
            "a key stands in a PKCS #11 module", fix="install the extra hutong[hsm]"
        ) from None
    pin = read_bounded(folder / uri.pin_file, MAX_PIN_BYTES, "PIN", private=True)
    place = uri.module, uri.token
    with _opening:
        session = _sessions.get(place)
        if session is None:
            try:
                token = pkcs11.lib(uri.module).get_token(token_label=uri.token)
                opened = token.open(rw=True, user_pin=pin.decode().strip())
            except (RuntimeError, UnicodeDecodeError, pkcs11.PKCS11Error) as error:
                # The library raises RuntimeError for a module that does not load.
                raise _refused("the module or its token does not open", error) from None
            session = _sessions[place] = _Session(opened, threading.Lock())
    return pkcs11, session


def _public(point: bytes) -> ec.EllipticCurvePublicKey:
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point[-_POINT_BYTES:])
    except ValueError:
        raise FileError("the key in the module is not of P-256") from None


def _refused(message: str, error: Exception) -> FileError:
    return FileError(f"{message} ({type(error).__name__})", fix="look at it with pkcs11-tool")
