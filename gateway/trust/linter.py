"""The publish-time linter: what is wrong with a statement, before anybody relies on it.

Pure, and the same for the hub's door, for ``Lint`` and for a member at home. It names
everything it finds (:class:`~gateway.trust.findings.FindingName`); errors keep a
statement out of the feed, warnings do not. What needs a network (is the endpoint
there) is for whoever calls; how a policy is read is handed in, because the hub must
not read policies.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from gateway.attestation import base64url
from gateway.attestation.jwk import COORDINATE_BYTES
from gateway.codes.scheme_model import SchemeError
from gateway.codes.schemes import load_scheme
from gateway.errors import HutongError, TrustError
from gateway.trust.authority import lint_enrolment, parse_enrolment
from gateway.trust.errors import KeyChangeError, KeyChangeFault, KeyMaterialError, StatementError
from gateway.trust.findings import Finding as Finding
from gateway.trust.findings import FindingName, finding, in_order
from gateway.trust.findings import LintError as LintError
from gateway.trust.findings import Weight as Weight
from gateway.trust.findings import refuse_errors as refuse_errors
from gateway.trust.keys import KeyState, KeyUse, parse_member_key
from gateway.trust.lifecycle import LEAD_TIME, apply_key_change, parse_key_change
from gateway.trust.statements import StatementKind, check_scope, unverified_statement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from gateway.codes.scheme_model import Scheme
    from gateway.trust.keys import MemberKey
    from gateway.trust.lifecycle import KeyChange
    from gateway.trust.members import MemberRecord
    from gateway.trust.statements import Statement

MAX_KEY_LIFE: Final = timedelta(days=3 * 366)
"""Three years: the longest originator usage period of NIST SP 800-57 part 1, table 1."""

LONG_NOTICE: Final = timedelta(days=30)
"""How long before its end a long-lived key is worth a word."""

SHORT_SHARE: Final = 4
"""A key that lives less than four times the notice: in its last quarter."""

_N = FindingName


def lint_statement(
    token: str,
    *,
    now: datetime,
    record: MemberRecord | None = None,
    check_policy: Callable[[Mapping[str, Any]], object] | None = None,
    others: Iterable[Scheme] = (),
    lead: timedelta = LEAD_TIME,
) -> tuple[Finding, ...]:
    """Looks at a statement as it would be handed in. Its signature is not verified.

    Args:
        token: the signed statement, of any kind.
        now: the moment of looking.
        record: the member that signs, as it stands; None: it is about to enrol.
        check_policy: raises a HutongError where a policy document does not load;
            None: its grammar is not looked at.
        others: schemes of other authorities, whose QR texts must not be mistaken.
        lead: how long before its first use a key is published.

    Returns:
        The findings, errors first.
    """
    try:
        statement = unverified_statement(token, tuple(StatementKind))
    except StatementError as error:
        return (finding(_N.STATEMENT_MALFORMED, "", str(error)),)
    return in_order(
        _statement(statement, now, record, check_policy=check_policy, others=others, lead=lead)
    )


def lint_document(
    statement: Statement,
    *,
    now: datetime,
    check_policy: Callable[[Mapping[str, Any]], object] | None = None,
    others: Iterable[Scheme] = (),
) -> tuple[Finding, ...]:
    """Looks at the document in a verified scheme or policy statement."""
    if statement.kind is StatementKind.SCHEME:
        return in_order(_scheme(statement.body, now, others))
    return in_order(_policy(statement.body, now, check_policy))


def lint_key_change(
    record: MemberRecord, change: KeyChange, *, now: datetime
) -> tuple[Finding, ...]:
    """Looks at the keys that a parsed change brings; :func:`lint_keys` at what stays."""
    del record
    return in_order(_new_keys(change.add, now))


def lint_keys(keys: Sequence[MemberKey], *, now: datetime) -> tuple[Finding, ...]:
    """Looks at the keys a member holds: what ends soon, and whether something follows."""
    return in_order(_held_keys(keys, now))


def notice_period(key: MemberKey) -> timedelta:
    """Returns how long before its end a key is worth a word: 30 days, a quarter of less."""
    if key.not_after is None:
        return timedelta(0)
    return min(LONG_NOTICE, (key.not_after - key.not_before) / SHORT_SHARE)


def _statement(
    statement: Statement,
    now: datetime,
    record: MemberRecord | None,
    *,
    check_policy: Callable[[Mapping[str, Any]], object] | None,
    others: Iterable[Scheme],
    lead: timedelta,
) -> Iterator[Finding]:
    if statement.kind is StatementKind.ENROLMENT:
        yield from _enrolment(statement, now)
        return
    if record is not None:
        yield from _signer(statement, record, now)
    if statement.kind is StatementKind.KEYS:
        yield from _change(statement.body, record, now, lead)
    elif statement.kind in (StatementKind.SCHEME, StatementKind.POLICY):
        yield from _scope(statement, record)
        yield from lint_document(statement, now=now, check_policy=check_policy, others=others)


def _signer(statement: Statement, record: MemberRecord, now: datetime) -> Iterator[Finding]:
    key = next((key for key in record.keys if key.key_id == statement.key_id), None)
    if statement.issuer != record.urn or key is None or key.use is not KeyUse.STATE:
        yield finding(
            _N.STATEMENT_SIGNATURE,
            statement.key_id,
            "not by a statement key of the member; sign it with one",
        )
    elif key.state(now) is not KeyState.ACTIVE:
        yield finding(
            _N.STATEMENT_SIGNATURE,
            statement.key_id,
            f"the statement key is {key.state(now).value}; sign it with one that is active",
        )


def _enrolment(statement: Statement, now: datetime) -> Iterator[Finding]:
    raw = statement.body.get("keys")
    findings = list(_raw_keys(raw)) if isinstance(raw, list) else []
    yield from findings
    if any(item.weight is Weight.ERROR for item in findings):
        return
    try:
        body = parse_enrolment(statement.body)
        lint_enrolment(body)
    except KeyMaterialError as error:
        yield finding(_N.KEY_ENCODING, "", str(error))
        return
    except TrustError as error:
        yield finding(_N.STATEMENT_MEMBER, statement.issuer, str(error))
        return
    yield from _new_keys(body.keys, now)
    for use in dict.fromkeys(key.use for key in body.keys):
        if not any(key.use is use and key.is_valid(now) for key in body.keys):
            yield finding(
                _N.KEY_NOT_ACTIVE,
                use.value,
                "no key of this use is active; the member waits for it",
            )


def _raw_keys(raw: list[Any]) -> Iterator[Finding]:
    seen: set[str] = set()
    for place, value in enumerate(raw):
        jwk = value.get("jwk") if isinstance(value, dict) else None
        jwk = jwk if isinstance(jwk, dict) else {}
        kid = jwk.get("kid")
        subject = kid if isinstance(kid, str) and kid else f"keys[{place}]"
        if isinstance(kid, str):
            if kid in seen:
                yield finding(
                    _N.KEY_DUPLICATE_ID, subject, "a key stands twice; one key has one use"
                )
            seen.add(kid)
        if _has_wrong_length(jwk):
            yield finding(
                _N.KEY_LENGTH,
                subject,
                "a coordinate is not 32 bytes; write it in full, leading zeros included",
            )
            continue
        try:
            key = parse_member_key(value)
        except TrustError as error:
            yield finding(_N.KEY_ENCODING, subject, str(error))
            continue
        if key.has_history:
            yield finding(
                _N.KEY_HISTORY_CLAIMED, subject, "what became of a key is the hub's to say"
            )


def _has_wrong_length(jwk: Mapping[str, Any]) -> bool:
    if jwk.get("kty") not in ("EC", "OKP"):
        return False
    for name in ("x", "y"):
        value = jwk.get(name)
        if isinstance(value, str):
            try:
                if len(base64url.decode(value.encode("ascii"))) != COORDINATE_BYTES:
                    return True
            except ValueError:
                return False
    return False


def _new_keys(keys: Iterable[MemberKey], now: datetime) -> Iterator[Finding]:
    for key in keys:
        if key.not_after is None:
            yield finding(
                _N.KEY_WITHOUT_END,
                key.key_id,
                f"the {key.use.value} key has no end; give it one of a year or so",
            )
        elif key.not_after <= now:
            yield finding(_N.KEY_ENDED, key.key_id, f"the {key.use.value} key has ended already")
        elif key.not_after - key.not_before > MAX_KEY_LIFE:
            yield finding(
                _N.KEY_LIFETIME_TOO_LONG,
                key.key_id,
                f"the {key.use.value} key lives longer than {MAX_KEY_LIFE.days} days",
            )


def _held_keys(keys: Sequence[MemberKey], now: datetime) -> Iterator[Finding]:
    for key in keys:
        end = key.not_after
        if key.state(now) is not KeyState.ACTIVE or end is None:
            continue
        if now < end - notice_period(key):
            continue
        days = (end - now) / timedelta(days=1)
        yield finding(
            _N.KEY_EXPIRES_SOON, key.key_id, f"the {key.use.value} key ends in {days:.1f} days"
        )
        if not any(_follows(other, key) for other in keys):
            yield finding(
                _N.KEY_WITHOUT_SUCCESSOR,
                key.key_id,
                f"nothing follows the {key.use.value} key; publish the next one now",
            )


def _follows(other: MemberKey, key: MemberKey) -> bool:
    end = key.not_after
    return (
        end is not None
        and other.use is key.use
        and other.key_id != key.key_id
        and other.not_before <= end
        and (other.not_after is None or other.not_after > end)
        and other.is_believed(end)
    )


def _change(
    body: Mapping[str, Any], record: MemberRecord | None, now: datetime, lead: timedelta
) -> Iterator[Finding]:
    raw = body.get("add")
    findings = list(_raw_keys(raw)) if isinstance(raw, list) else []
    yield from findings
    if any(item.weight is Weight.ERROR for item in findings):
        return
    try:
        change = parse_key_change(body)
    except TrustError as error:
        yield finding(_N.STATEMENT_MALFORMED, "", str(error))
        return
    yield from _new_keys(change.add, now)
    if record is None:
        return
    try:
        after = apply_key_change(record, change, now, lead=lead)
    except KeyChangeError as error:
        short = error.code == KeyChangeFault.LEAD_TIME_TOO_SHORT.value
        yield finding(_N.LEAD_TIME_TOO_SHORT if short else _N.KEY_CHANGE_REFUSED, "", str(error))
    except TrustError as error:
        yield finding(_N.KEY_CHANGE_REFUSED, "", str(error))
    else:
        yield from _held_keys(after.keys, now)


def _scope(statement: Statement, record: MemberRecord | None) -> Iterator[Finding]:
    if record is None:
        return
    try:
        check_scope(statement, record.prefixes)
    except StatementError as error:
        is_policy = statement.kind is StatementKind.POLICY
        yield finding(_N.POLICY_REGION if is_policy else _N.STATEMENT_SCOPE, "", str(error))


def _scheme(
    document: Mapping[str, Any], now: datetime, others: Iterable[Scheme]
) -> Iterator[Finding]:
    family = document.get("family")
    subject = family if isinstance(family, str) else ""
    try:
        scheme = load_scheme(document)
    except SchemeError as error:
        for problem in error.problems:
            yield finding(
                _scheme_problem(problem.path, problem.message),
                problem.path or subject,
                f"{problem.message}; {problem.fix}",
            )
        if not error.problems:
            yield finding(_N.SCHEME_MALFORMED, subject, str(error))
        return
    except HutongError as error:
        yield finding(_N.SCHEME_MALFORMED, subject, str(error))
        return
    if not any(version.in_force(now) for version in scheme.versions):
        yield finding(
            _N.SCHEME_NOT_IN_FORCE, subject, "no version of the scheme is in force at the moment"
        )
    for other in others:
        if other.authority != scheme.authority and _are_mistaken(scheme, other):
            yield finding(
                _N.SCHEME_QR_AMBIGUOUS,
                subject,
                f"a QR text of it reads as one of {other.family}; the wrong region would be asked",
            )


def _scheme_problem(path: str, message: str) -> FindingName:
    if "overlap" in message:
        return _N.SCHEME_OVERLAP
    if any(word in path for word in ("meaning", "states_seen", "vectors", ".states")):
        return _N.SCHEME_INCOMPLETE
    return _N.SCHEME_MALFORMED


def _are_mistaken(one: Scheme, other: Scheme) -> bool:
    return _reads_as(one, other) or _reads_as(other, one)


def _reads_as(one: Scheme, other: Scheme) -> bool:
    """Whether an example of one scheme matches a pattern of another at the same time."""
    return any(
        pattern.matches(example)
        for version in one.versions
        for rival in other.versions
        if (version.valid_until is None or rival.valid_from < version.valid_until)
        and (rival.valid_until is None or version.valid_from < rival.valid_until)
        for mine in version.qr_patterns
        for example in mine.examples
        for pattern in rival.qr_patterns
    )


def _policy(
    document: Mapping[str, Any],
    now: datetime,
    check_policy: Callable[[Mapping[str, Any]], object] | None,
) -> Iterator[Finding]:
    name = document.get("id")
    subject = name if isinstance(name, str) else ""
    if check_policy is None:
        return
    try:
        policy = check_policy(document)
    except HutongError as error:
        problems = getattr(error, "problems", ())
        for problem in problems:
            unreachable = "never be reached" in problem.message
            yield finding(
                _N.POLICY_UNREACHABLE_RULE if unreachable else _N.POLICY_MALFORMED,
                problem.path or subject,
                f"{problem.message}; {problem.fix}",
            )
        if not problems:
            yield finding(_N.POLICY_MALFORMED, subject, str(error))
        return
    # Whatever was read: only its period is looked at, and only if it says one.
    valid_from = getattr(policy, "valid_from", None)
    valid_until = getattr(policy, "valid_until", None)
    if valid_from is not None and valid_from > now:
        yield finding(
            _N.POLICY_FUTURE,
            subject,
            "the policy is not valid yet and nobody follows it; announce it as `next` of the one "
            "in force",
        )
    if valid_until is not None and valid_until <= now:
        yield finding(_N.POLICY_ENDED, subject, "the policy is no longer valid; nobody follows it")
