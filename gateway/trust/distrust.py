"""Surgical distrust: what is not to be believed any more, and of what it is true.

A :class:`DistrustRule` names an issuer and an instant and may narrow that: to the
time before another instant, one kind of statement, one key, one division prefix, one
dated scheme, one range of lots. Every member that is set narrows it. The hub decides
and publishes a rule as a feed entry of kind ``distrust``; a tombstone takes it back.

What cannot be told apart is touched, because nothing may become green by leaving
something out:

* a level of a division that *contains* the prefix may rest on it;
* what bears no serial may be of any lot;
* what the holder of an attestation withholds may be anything.

A rule that names a scheme or a range of lots touches no kind that has none: a policy
has no scheme, and only attestations have lots. The document of a scheme family, which
holds all its versions, is touched only by a rule that says ``scheme`` as its kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from gateway.attestation.claim_set import MAX_SERIAL
from gateway.attestation.disclosed import CodePart
from gateway.attestation.jwk import KEY_ID_LENGTH
from gateway.trust import names
from gateway.trust.errors import DistrustError
from gateway.trust.times import Seconds, from_seconds, to_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from gateway.attestation.claim_set import Claims
    from gateway.attestation.claims import Attestation

KINDS: Final = frozenset({"attestation", "scheme", "policy", "status"})
"""As ``hutong.v1.DistrustRule.kind``."""
ATTESTATION: Final = "attestation"
SCHEME: Final = "scheme"
MAX_REASON_LENGTH: Final = 256
"""As ``hutong.v1.DistrustRequest.reason``."""

_SCHEME = re.compile(r"[a-z][a-z0-9-]{1,31}@[0-9a-z][0-9a-z.-]{0,31}", re.ASCII)
_KEY_ID = re.compile(rf"[A-Za-z0-9_-]{{{KEY_ID_LENGTH}}}", re.ASCII)


@dataclass(frozen=True)
class DistrustRule:
    """What is not believed any more.

    Attributes:
        issuer: URN of the authority that signed.
        signed_from: what was signed from then on, by the signer's clock, inclusive.
        signed_until: and before then, exclusive; None: without end.
        kind: of ``KINDS``; None: each of them.
        key_id: only by this key; None: by any.
        prefix: only what may rest on divisions under it, shortest form; None: any.
        scheme: only under this dated scheme, ``family@version``; None: any.
        first_serial: first lot of a range; None, with ``last_serial``: any.
        last_serial: last lot of the range, inclusive.
    """

    issuer: str
    signed_from: datetime
    signed_until: datetime | None = None
    kind: str | None = None
    key_id: str | None = None
    prefix: str | None = None
    scheme: str | None = None
    first_serial: int | None = None
    last_serial: int | None = None

    def __post_init__(self) -> None:
        if names.region_of(self.issuer) is None and names.hub_of(self.issuer) is None:
            raise DistrustError("the issuer is a region or a hub")
        if self.signed_until is not None and self.signed_until <= self.signed_from:
            raise DistrustError("signed_until lies after signed_from")
        if self.kind is not None and self.kind not in KINDS:
            raise DistrustError("the kind is none that can be distrusted")
        if self.key_id is not None and not _KEY_ID.fullmatch(self.key_id):
            raise DistrustError("key_id is not a thumbprint")
        if self.prefix is not None and not names.is_prefix(self.prefix):
            raise DistrustError("a division prefix has 2, 4 or 6 digits, none of them trailing 00")
        if self.scheme is not None and not _SCHEME.fullmatch(self.scheme):
            raise DistrustError("a scheme is named family@version")
        self._check_serials()

    def _check_serials(self) -> None:
        first, last = self.first_serial, self.last_serial
        if (first is None) is not (last is None):
            raise DistrustError("a range of serials has two ends")
        if first is not None and last is not None:
            if not 0 <= first <= last <= MAX_SERIAL:
                raise DistrustError("the range of serials is none")
            if self.kind not in (None, ATTESTATION):
                raise DistrustError("only attestations have serials")

    @cached_property
    def _span(self) -> tuple[int, int]:
        # Beyond every second that a claim can name: without end.
        until = self.signed_until
        return to_seconds(self.signed_from), 2**62 if until is None else to_seconds(until)

    def touches(
        self,
        *,
        issuer: str,
        issued_at: datetime,
        key_id: str | None,
        kind: str = ATTESTATION,
        divisions: Iterable[str] = (),
        schemes: Iterable[str] = (),
        serial: int | None = None,
    ) -> bool:
        """Whether something signed is not believed under this rule.

        Args:
            issuer: URN of who signed it.
            issued_at: when, by the signer's clock.
            key_id: of the key that signed; None: not known, so it may be any.
            kind: of ``KINDS``.
            divisions: codes or prefixes that it rests on; none: not known.
            schemes: dated schemes that it rests on; none: not known.
            serial: of its lot; None: not known.
        """
        begin, end = self._span
        return (
            issuer == self.issuer
            and begin <= to_seconds(issued_at) < end
            and self.kind in (None, kind)
            and (self.key_id is None or key_id is None or key_id == self.key_id)
            and self._touches_divisions(divisions)
            and self._touches_schemes(kind, schemes)
            and self._touches_serial(kind, serial)
        )

    def touches_attestation(self, attestation: Attestation, key_id: str | None = None) -> bool:
        """Whether an attestation is not believed; the key, where the caller knows it."""
        reports = (attestation.code, *attestation.code.also)
        return self.touches(
            issuer=attestation.issuer,
            issued_at=attestation.issued_at,
            key_id=key_id,
            divisions=[report.area or report.issued_by for report in reports],
            schemes=[report.scheme for report in reports],
            serial=attestation.serial,
        )

    def touches_claims(self, claims: Claims) -> bool:
        """Whether an attestation with these claims is not believed.

        For the verifier, to whose key the rules of its issuer and its own id are bound:
        those two are not looked at again.
        """
        begin, end = self._span
        if not begin <= claims.iat < end or self.kind not in (None, ATTESTATION):
            return False
        reports = (claims.code, *(() if claims.code.also is UNSET else claims.code.also))
        places = [r.issued_by if r.area is UNSET else r.area for r in reports]
        schemes = [report.scheme for report in reports]
        if isinstance(claims.code, CodePart):
            # What its holder withholds may be anything.
            told = claims.code.told
            places = places if told >= {"area", "also"} else []
            schemes = schemes if told >= {"scheme", "also"} else []
        return (
            self._touches_divisions(places)
            and self._touches_schemes(ATTESTATION, schemes)
            and self._touches_serial(ATTESTATION, None if claims.serial is UNSET else claims.serial)
        )

    def to_body(self) -> dict[str, Any]:
        """Returns the object that the feed carries."""
        body: dict[str, Any] = {
            "issuer": self.issuer,
            "signed_from": to_seconds(self.signed_from),
            "signed_until": None if self.signed_until is None else to_seconds(self.signed_until),
            "kind": self.kind,
            "key_id": self.key_id,
            "prefix": self.prefix,
            "scheme": self.scheme,
            "first_serial": self.first_serial,
            "last_serial": self.last_serial,
        }
        return {name: value for name, value in body.items() if value is not None}

    def _touches_divisions(self, divisions: Iterable[str]) -> bool:
        prefix = self.prefix
        if prefix is None:
            return True
        known = False
        for division in divisions:
            known = True
            if division.startswith(prefix) or prefix.startswith(names.shortest(division)):
                return True
        return not known

    def _touches_schemes(self, kind: str, schemes: Iterable[str]) -> bool:
        if self.scheme is None:
            return True
        named = list(schemes)
        if kind == ATTESTATION:
            return self.scheme in named or not named
        # One document holds every version of its family: it goes only when it is named.
        family = self.scheme.partition("@")[0]
        return self.kind == kind == SCHEME and family in {s.partition("@")[0] for s in named}

    def _touches_serial(self, kind: str, serial: int | None) -> bool:
        first, last = self.first_serial, self.last_serial
        if first is None or last is None:
            return True
        return kind == ATTESTATION and (serial is None or first <= serial <= last)


class _Rule(msgspec.Struct, forbid_unknown_fields=True):
    issuer: Annotated[str, msgspec.Meta(max_length=names.MAX_URN_LENGTH)]
    signed_from: Seconds
    signed_until: Seconds | UnsetType = UNSET
    kind: str | UnsetType = UNSET
    key_id: str | UnsetType = UNSET
    prefix: str | UnsetType = UNSET
    scheme: str | UnsetType = UNSET
    first_serial: int | UnsetType = UNSET
    last_serial: int | UnsetType = UNSET


def parse_distrust_rule(value: object) -> DistrustRule:
    """Reads the object that the feed carries.

    Raises:
        DistrustError: it names nothing, or a span that is none.
    """
    try:
        read = msgspec.convert(value, _Rule)
    except msgspec.ValidationError:
        raise DistrustError("a member of the rule is missing, unknown or malformed") from None
    return DistrustRule(
        issuer=read.issuer,
        signed_from=from_seconds(read.signed_from),
        signed_until=None if read.signed_until is UNSET else from_seconds(read.signed_until),
        kind=None if read.kind is UNSET else read.kind,
        key_id=None if read.key_id is UNSET else read.key_id,
        prefix=None if read.prefix is UNSET else read.prefix,
        scheme=None if read.scheme is UNSET else read.scheme,
        first_serial=None if read.first_serial is UNSET else read.first_serial,
        last_serial=None if read.last_serial is UNSET else read.last_serial,
    )
