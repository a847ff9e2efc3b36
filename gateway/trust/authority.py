"""Members of the federation: what they say at enrolment, and what the feed says of them.

:class:`EnrolmentBody` is the body of an enrolment statement: the member's own
words. :class:`Authority` is the hub's record of an admitted region, or of a hub that
stands below, the body of a feed entry of kind ``authority``: the member's words, the
state an operator gave it, and the constraints its superior sets: prefixes, the kinds
it may sign, the life of attestations, how many hubs may stand below.

A region speaks only for divisions inside its own: ``urn:hutong:region:330100``
may hold ``3301`` or ``330106``, never ``44``. Checkpoints and operators hold no
prefixes and no attestation keys, and the feed does not name them.

Parsing here goes by shape. That a division exists is checked by
:func:`lint_enrolment`, at the hub's door.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from cryptography import x509

from gateway.codes.divisions import DivisionError, parse_division
from gateway.trust import names
from gateway.trust.errors import Missing, StatementError, TrustLookupError
from gateway.trust.keys import KeyUse, MemberKey, parse_member_keys
from gateway.trust.members import MAX_PREFIXES, MemberRecord, check_member
from gateway.trust.members import MemberKind as MemberKind
from gateway.trust.members import MemberState as MemberState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from gateway.attestation.keys import VerificationKey
    from gateway.attestation.sealing_keys import SealingPublicKey

MAX_NAME_LENGTH: Final = 128
"""As ``hutong.v1.Member.display_name``."""
MAX_ENDPOINT_LENGTH: Final = 256
"""As ``hutong.v1.Member.endpoint``."""
MAX_CA_LENGTH: Final = 16_384
"""A chain of a handful of certificates."""
MIN_ATTESTATION_SECONDS: Final = 60
"""Below the leeway of clocks an attestation could be dead on arrival."""
MAX_ATTESTATION_SECONDS: Final = 86_400
"""The profile's longest life, of a carried attestation (HT-ATT-7)."""
ALL_KINDS: Final = frozenset({"attestation", "scheme", "policy", "status"})
"""What a superior may let an authority sign, or not; as ``DistrustRule.kind``."""
MAX_KINDS: Final = 16
"""The four of today, and some air for those to come."""
MAX_PATH_LENGTH: Final = 4
"""Nation, province, prefecture, county: no hub stands deeper."""

_FEED_STATES: Final = (MemberState.ACTIVE, MemberState.SUSPENDED, MemberState.WITHDRAWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentBody(MemberRecord):
    """What a member says about itself.

    Attributes:
        region: six digits where a checkpoint stands; None for others.
    """

    region: str | None = None

    def __post_init__(self) -> None:
        check_member(self, stands_in=self.region)

    def to_body(self) -> dict[str, Any]:
        """Returns the body of the statement."""
        return _without_none(
            {
                "urn": self.urn,
                "kind": self.kind.value,
                "name_zh": self.name_zh,
                "name_en": self.name_en,
                "keys": [key.to_body() for key in self.keys],
                "region": self.region,
                "prefixes": list(self.prefixes),
                "endpoint": self.endpoint,
                "tls_ca_pem": self.tls_ca_pem,
            }
        )

    def authority(
        self,
        *,
        state: MemberState = MemberState.ACTIVE,
        max_attestation_seconds: int = MAX_ATTESTATION_SECONDS,
        kinds: frozenset[str] = ALL_KINDS,
        path_length: int = 0,
        published_at: datetime | None = None,
    ) -> Authority:
        """Returns the hub's record of this region or hub.

        Args:
            state: active, suspended or withdrawn.
            max_attestation_seconds: longest life of an attestation below it.
            kinds: what it may sign.
            path_length: of a hub: how many hubs may stand below it, one under another.
            published_at: noted on every key that does not say when it was published.

        Raises:
            StatementError: not a region or hub, or a bound that makes no sense.
        """
        keys = self.keys
        if published_at is not None:
            keys = tuple(
                key if key.published_at is not None else replace(key, published_at=published_at)
                for key in keys
            )
        return Authority(
            urn=self.urn,
            kind=self.kind,
            name_zh=self.name_zh,
            name_en=self.name_en,
            prefixes=self.prefixes,
            endpoint=self.endpoint,
            tls_ca_pem=self.tls_ca_pem,
            keys=keys,
            state=state,
            max_attestation_seconds=max_attestation_seconds,
            kinds=kinds,
            path_length=path_length,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority(MemberRecord):
    """The hub's record of an admitted region, or of a hub that stands below it.

    Among its keys are those to come and those that have lapsed.

    Attributes:
        state: active, suspended or withdrawn.
        max_attestation_seconds: longest life of an attestation that it, or whoever
            stands below it, may issue.
        kinds: what it, or whoever stands below it, may sign; of ``ALL_KINDS``.
        path_length: of a hub: how many hubs may stand below it, one under another;
            0: none, and always for a region.
    """

    state: MemberState
    max_attestation_seconds: int = MAX_ATTESTATION_SECONDS
    kinds: frozenset[str] = ALL_KINDS
    path_length: int = 0
    # Decoded keys by id: decoding waits for the first use and happens once a record.
    _verification: dict[str, VerificationKey] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _sealing: dict[str, SealingPublicKey] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if self.kind not in (MemberKind.REGION, MemberKind.HUB):
            raise StatementError("the feed names regions and hubs only")
        if self.state not in _FEED_STATES:
            raise StatementError("the feed names active, suspended and withdrawn authorities only")
        if not 0 <= self.path_length <= (MAX_PATH_LENGTH if self.kind is MemberKind.HUB else 0):
            raise StatementError("path_length is out of bounds")
        if not MIN_ATTESTATION_SECONDS <= self.max_attestation_seconds <= MAX_ATTESTATION_SECONDS:
            raise StatementError("max_attestation_seconds is out of bounds")
        check_member(self)

    @property
    def region(self) -> str:
        """The six digits of its URN."""
        return self.urn[-6:]

    @property
    def is_active(self) -> bool:
        """Whether it takes part."""
        return self.state is MemberState.ACTIVE

    def may_sign(self, kind: str) -> bool:
        """Whether its superior lets it sign this kind; kinds without a bound always."""
        return kind in self.kinds or kind not in ALL_KINDS

    def member_key(self, key_id: str, use: KeyUse) -> MemberKey:
        """Returns a key by its id and use.

        Raises:
            TrustLookupError: KEY_UNKNOWN, no such key for this use.
        """
        for key in self.keys:
            if key.key_id == key_id and key.use is use:
                return key
        raise TrustLookupError(
            "the authority has no such key for this use", code=Missing.KEY_UNKNOWN
        )

    def verification_key(self, key_id: str, use: KeyUse) -> VerificationKey:
        """Returns a signing key, whatever the time; the verifier checks the time.

        Raises:
            TrustLookupError: KEY_UNKNOWN, no such key for this use.
            KeyMaterialError: the key does not decode.
        """
        key = self.member_key(key_id, use)
        found = self._verification.get(key_id)
        if found is None:
            found = key.verification_key(
                issuer=self.urn,
                prefixes=self.prefixes,
                max_lifetime_seconds=self.max_attestation_seconds,
            )
            self._verification[key_id] = found
        return found

    def sealing_key(self, now: datetime) -> SealingPublicKey:
        """Returns the newest sealing key that is valid now.

        Raises:
            TrustLookupError: SEALING_KEY_UNKNOWN, there is none.
            KeyMaterialError: the key does not decode.
        """
        valid = [key for key in self.keys if key.use is KeyUse.SEAL and key.is_valid(now)]
        if not valid:
            raise TrustLookupError(
                "the authority has no sealing key that is valid now",
                code=Missing.SEALING_KEY_UNKNOWN,
            )
        newest = max(valid, key=lambda key: (key.not_before, key.key_id))
        found = self._sealing.get(newest.key_id)
        if found is None:
            found = self._sealing[newest.key_id] = newest.sealing_key()
        return found

    def to_body(self) -> dict[str, Any]:
        """Returns the body of its feed entry."""
        return _without_none(
            {
                "urn": self.urn,
                "kind": self.kind.value,
                "name_zh": self.name_zh,
                "name_en": self.name_en,
                "prefixes": list(self.prefixes),
                "endpoint": self.endpoint,
                "tls_ca_pem": self.tls_ca_pem,
                "keys": [key.to_body() for key in self.keys],
                "state": self.state.value,
                "max_attestation_seconds": self.max_attestation_seconds,
                "kinds": None if self.kinds == ALL_KINDS else sorted(self.kinds),
                "path_length": self.path_length or None,
            }
        )


_Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME_LENGTH)]
_Urn = Annotated[str, msgspec.Meta(max_length=names.MAX_URN_LENGTH)]
_Prefixes = Annotated[list[str], msgspec.Meta(max_length=MAX_PREFIXES)]
_Endpoint = Annotated[str, msgspec.Meta(max_length=MAX_ENDPOINT_LENGTH)]
_Pem = Annotated[str, msgspec.Meta(max_length=MAX_CA_LENGTH)]


class _EnrolmentBody(msgspec.Struct, forbid_unknown_fields=True):
    urn: _Urn
    kind: MemberKind
    name_zh: _Name
    name_en: _Name
    keys: list[Any]
    prefixes: _Prefixes
    region: str | msgspec.UnsetType = msgspec.UNSET
    endpoint: _Endpoint | msgspec.UnsetType = msgspec.UNSET
    tls_ca_pem: _Pem | msgspec.UnsetType = msgspec.UNSET


class _AuthorityBody(msgspec.Struct, forbid_unknown_fields=True):
    urn: _Urn
    kind: MemberKind
    name_zh: _Name
    name_en: _Name
    prefixes: _Prefixes
    keys: list[Any]
    state: MemberState
    max_attestation_seconds: int
    endpoint: _Endpoint | msgspec.UnsetType = msgspec.UNSET
    tls_ca_pem: _Pem | msgspec.UnsetType = msgspec.UNSET
    kinds: list[str] | msgspec.UnsetType = msgspec.UNSET
    path_length: int = 0


def parse_enrolment(body: object) -> EnrolmentBody:
    """Reads the body of an enrolment statement, keys decoded.

    Raises:
        StatementError: a member is missing, unknown, malformed or out of place.
        KeyMaterialError: a key does not hold.
    """
    try:
        read = msgspec.convert(body, _EnrolmentBody)
    except msgspec.ValidationError:
        raise StatementError("a member of the enrolment is missing, unknown or too long") from None
    return EnrolmentBody(
        urn=read.urn,
        kind=read.kind,
        name_zh=read.name_zh,
        name_en=read.name_en,
        keys=parse_member_keys(read.keys),
        region=_or_none(read.region),
        prefixes=tuple(read.prefixes),
        endpoint=_or_none(read.endpoint),
        tls_ca_pem=_or_none(read.tls_ca_pem),
    )


def parse_authority(body: object, *, decode_keys: bool = False) -> Authority:
    """Reads the body of a feed entry of kind ``authority``.

    Args:
        body: parsed JSON.
        decode_keys: decode every key at once; False: each at its first use.

    Raises:
        StatementError: a member is missing, unknown, malformed or out of place.
        KeyMaterialError: a key does not hold.
    """
    try:
        read = msgspec.convert(body, _AuthorityBody)
    except msgspec.ValidationError:
        raise StatementError("a member of the authority is missing, unknown or too long") from None
    return Authority(
        urn=read.urn,
        kind=read.kind,
        name_zh=read.name_zh,
        name_en=read.name_en,
        prefixes=tuple(read.prefixes),
        endpoint=_or_none(read.endpoint),
        tls_ca_pem=_or_none(read.tls_ca_pem),
        keys=parse_member_keys(read.keys, decode=decode_keys),
        state=read.state,
        max_attestation_seconds=read.max_attestation_seconds,
        kinds=ALL_KINDS if read.kinds is msgspec.UNSET else _kinds(read.kinds),
        path_length=read.path_length,
    )


def lint_enrolment(enrolment: EnrolmentBody) -> None:
    """Checks what only the door checks: divisions exist, certificates parse, keys are new.

    Raises:
        StatementError: they do not, or a key says of itself what the hub says.
    """
    if any(key.has_history for key in enrolment.keys):
        raise StatementError("a key's history is the hub's to tell")
    try:
        for code in _divisions(enrolment):
            parse_division(code)
    except DivisionError:
        raise StatementError("the enrolment names a division that does not exist") from None
    if enrolment.tls_ca_pem is not None:
        try:
            x509.load_pem_x509_certificates(enrolment.tls_ca_pem.encode("ascii"))
        except ValueError:
            raise StatementError("tls_ca_pem holds something other than certificates") from None


def _kinds(named: list[str]) -> frozenset[str]:
    kinds = frozenset(named)
    # A kind that this reader does not know bounds nothing that it reads.
    if len(kinds) != len(named) or len(named) > MAX_KINDS:
        raise StatementError("kinds names a kind twice, or too many")
    return kinds


def _divisions(enrolment: EnrolmentBody) -> Iterator[str]:
    yield from enrolment.prefixes
    for region in (names.region_of(enrolment.urn), enrolment.region):
        if region is not None:
            yield region
    hub = names.hub_of(enrolment.urn)
    # The digits of a hub for the whole country are no division.
    if hub is not None and names.shortest(hub):
        yield hub


def _or_none(value: str | msgspec.UnsetType) -> str | None:
    return None if value is msgspec.UNSET else value


def _without_none(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}
