"""How the suite asks an adapter: grants, sealed questions, opened answers.

It signs caller grants with the key that the profile names, seals questions to the
adapter's encryption key, opens the answers, and reads the attestations strictly.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from hutong.v1 import adapter_service_pb2, code_pb2, error_pb2, exchange_pb2

from conformance_tests import crypto
from conformance_tests.attestations import attestation_defects, bound_to, claims_defects
from conformance_tests.disclosures import read_part
from conformance_tests.model import Observed, UntestableError
from conformance_tests.profile import ProfileError
from conformance_tests.roles import calls
from conformance_tests.roles.plan import Plan

if TYPE_CHECKING:
    from hutong.v1 import adapter_service_pb2_grpc

    from conformance_tests.profile import Profile

_GRANT_TYPE = "hutong-grant+jwt"
_PURPOSE = "PURPOSE_CHECKPOINT"
_ERROR_PREFIX = "ERROR_REASON_"
_GRANTED = ("CHECKPOINT", "HOLDER")
"""What the suite's grants allow; a case asks for VENUE, which they do not."""


@dataclass(frozen=True, slots=True)
class AdapterPlan(Plan):
    """A sound question to an adapter; a case changes one property."""

    grant_present: bool = True
    grant_signed_by: str = "suite"
    grant_expires_in_seconds: int = 300
    grant_audience: str = ""
    grant_region: str = ""
    question_purpose: str = _PURPOSE
    question_audience: str = ""
    question_asked_seconds_ago: int = 0
    question_use: str = "ONLINE"
    question_beside: str = ""
    question_disclosure: str = ""
    binding_caller: str = ""
    call_seconds: float = calls.CALL_SECONDS
    person: str = ""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed question, and what opens its answer."""

    question: exchange_pb2.SealedQuestion
    batch: exchange_pb2.QuestionBatch
    binding: crypto.Binding


class Asker:
    """Asks one adapter what the profile's people show.

    Args:
        profile: the implementer's declaration.

    Raises:
        ProfileError: it lacks what the role needs.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.authority = str(profile.need("authority"))
        self.hub = str(profile.need("hub", "urn"))
        self.caller = str(profile.need("caller", "urn"))
        self.region = str(profile.need("caller", "region"))
        self._token_key = crypto.load_key(profile.read_json(str(profile.need("hub", "token_key"))))
        self._stranger = crypto.new_signing_key()
        self.seal_key = crypto.load_seal_key(profile.read_json(str(profile.need("seal")[0])))
        attest = [crypto.load_key(profile.read_json(str(name))) for name in profile.need("attest")]
        self._attest = {key["kid"]: key for key in attest}
        self._people: dict[str, Any] = dict(profile.need("people"))
        calm = [name for name, entry in self._people.items() if "arrange" not in entry]
        if not calm:
            raise ProfileError("`people` has nobody who needs no `arrange`; name somebody")
        self._first = calm[0]
        self.stub: adapter_service_pb2_grpc.AdapterServiceStub

    def person(self, name: str) -> dict[str, Any]:
        """Return an entry of ``people``.

        Raises:
            UntestableError: the profile has none under this name.
        """
        if name not in self._people:
            raise UntestableError(f"person.{name} is declared, but not under `people`")
        return dict(self._people[name])

    def plan(self) -> AdapterPlan:
        """A sound question about the first person for whom nothing has to be arranged."""
        return AdapterPlan(
            grant_audience=self.authority,
            grant_region=self.region,
            question_audience=f"urn:hutong:region:{self.region}",
            binding_caller=self.caller,
            person=self._first,
        )

    def grant(self, plan: AdapterPlan) -> str:
        """Sign a caller grant, as a hub does."""
        now = int(time.time())
        claims = {
            "iss": self.hub,
            "aud": plan.grant_audience,
            "sub": self.caller,
            "region": plan.grant_region,
            "scope": "exchange.query",
            "purposes": list(_GRANTED),
            "iat": now + min(0, plan.grant_expires_in_seconds) - 300,
            "exp": now + plan.grant_expires_in_seconds,
            "jti": crypto.b64(os.urandom(16)),
        }
        key = self._token_key if plan.grant_signed_by == "suite" else self._stranger
        # The stranger even claims the right key id: only the signature tells.
        return crypto.sign(claims, key, _GRANT_TYPE, kid=self._token_key["kid"])

    def metadata(self, plan: AdapterPlan) -> tuple[tuple[str, str], ...]:
        """The metadata of a call."""
        return (("hutong-grant", self.grant(plan)),) if plan.grant_present else ()

    @property
    def attest_keys(self) -> dict[str, Any]:
        """The adapter's attestation keys by key id."""
        return dict(self._attest)

    def _question(self, plan: AdapterPlan) -> exchange_pb2.Question:
        person = self.person(plan.person)
        use = exchange_pb2.AttestationUse.Value(f"ATTESTATION_USE_{plan.question_use}")
        disclosure = exchange_pb2.Disclosure.Value(
            f"DISCLOSURE_{plan.question_disclosure or 'UNSPECIFIED'}"
        )
        question = exchange_pb2.Question(nonce=os.urandom(16), use=use, disclosure=disclosure)
        if "document" in person:
            set_document(question.document, person["document"])
        else:
            question.qr_text = str(person["qr_text"])
        return question

    def seal(self, plan: AdapterPlan, *, item: int = 0, questions: int = 1) -> Sealed:
        """Seal the question of a plan, or the same several times with a nonce each."""
        asked = [plan] * questions
        if plan.question_beside:
            asked.append(plan.changed({"question.use": plan.question_beside}))
        batch = exchange_pb2.QuestionBatch(
            reply_key=os.urandom(32),
            asked_at=seconds_ago(plan.question_asked_seconds_ago),
            audience=plan.question_audience,
            questions=[self._question(each) for each in asked],
        )
        purpose = plan.question_purpose.removeprefix("PURPOSE_")
        binding = crypto.Binding(self.authority, plan.binding_caller, purpose)
        sealed = self.sealed_question(
            plan, crypto.seal_question(self.seal_key, batch.SerializeToString(), binding), item=item
        )
        return Sealed(sealed, batch, binding)

    def sealed_question(
        self, plan: AdapterPlan, envelope: bytes, *, item: int = 0
    ) -> exchange_pb2.SealedQuestion:
        """Put an envelope into the frame that a hub sees."""
        return exchange_pb2.SealedQuestion(
            id=item,
            region=self.authority.rpartition(":")[2],
            purpose=exchange_pb2.Purpose.Value(plan.question_purpose),
            key_id=self.seal_key.kid,
            envelope=envelope,
        )

    async def query(self, plan: AdapterPlan, sealed: Sealed) -> Observed | bytes:
        """Ask; return the sealed answer, or how it was refused."""
        request = adapter_service_pb2.AdapterServiceQueryRequest(question=sealed.question)
        try:
            response = await self.stub.Query(
                request, metadata=self.metadata(plan), timeout=plan.call_seconds
            )
        except grpc.aio.AioRpcError as error:
            calls.reach(error, self.profile)
            return calls.refusal(error, secrets=self._secrets(plan))
        return response.envelope

    async def ask(self, plan: AdapterPlan, sealed: Sealed | None = None) -> Observed:
        """Ask and read the answer."""
        question = sealed or self.seal(plan)
        answered = await self.query(plan, question)
        return answered if isinstance(answered, Observed) else self.read(plan, question, answered)

    def read(self, plan: AdapterPlan, sealed: Sealed, envelope: bytes) -> Observed:
        """Open an answer and look at it closely."""
        try:
            plaintext = crypto.open_answer(
                sealed.batch.reply_key, envelope, sealed.binding, self.seal_key.profile
            )
            answers = exchange_pb2.AnswerBatch.FromString(plaintext).answers
        except (crypto.OpenFailedError, DecodeError):
            return Observed(kind="answer", notes=("the answer does not open (HT-SEAL-5)",))
        question = sealed.batch.questions[0]
        if [answer.nonce for answer in answers] != [one.nonce for one in sealed.batch.questions]:
            return Observed(kind="answer", notes=("not one answer with the nonce (HT-ADP-5)",))
        answer = answers[0]
        if answer.HasField("outcome"):
            name = code_pb2.Outcome.Name(answer.outcome.outcome).removeprefix("OUTCOME_")
            return Observed(kind="outcome", value=name)
        if answer.HasField("error"):
            return Observed(kind="item error", value=reason_name(answer.error))
        return self._look_closely(plan, question, answer.attestation)

    def _look_closely(
        self, plan: AdapterPlan, question: exchange_pb2.Question, token: str
    ) -> Observed:
        expected: dict[str, Any] = {
            "issuer": self.authority,
            "audience": plan.question_audience,
            "use": plan.question_use.lower(),
            "own": _own_claim(plan, question),
        }
        if plan.question_disclosure:
            try:
                part = read_part(token, self._attest)
            except ValueError as error:
                return Observed(kind="answer", notes=(str(error),))
            _, defects = claims_defects(part.whole(), **expected)
            level, found = str(part.told.get("level")), {**part.claims, "part": part}
            return Observed(kind="level", value=level, form=tuple(defects), claims=found)
        claims, defects = attestation_defects(token, self._attest, **expected)
        if not claims.get("code"):
            # Told as a defect of form; what it states is looked at all the same.
            with contextlib.suppress(ValueError, IndexError):
                claims = crypto.unsafe_claims(token)
        level = str(claims.get("code", {}).get("level", ""))
        return Observed(kind="level", value=level, form=tuple(defects), claims=claims)

    def _secrets(self, plan: AdapterPlan) -> tuple[str, ...]:
        person = self.person(plan.person)
        return (str(person.get("qr_text") or person["document"]["number"]),)


def _own_claim(plan: AdapterPlan, question: exchange_pb2.Question) -> str | None:
    if plan.question_use == "ONLINE":
        return crypto.b64(question.nonce)
    if plan.question_use == "IMPORT":
        return bound_to(question.nonce, question.document.type, question.document.number)
    return None


def set_document(message: exchange_pb2.Document, entry: dict[str, Any]) -> None:
    """Copy a document of the profile into a message."""
    message.type = code_pb2.DocumentType.ValueType(int(entry["type"]))
    message.number = str(entry["number"])


def seconds_ago(seconds: int) -> Timestamp:
    """A moment before the present."""
    moment = Timestamp()
    moment.FromNanoseconds(time.time_ns() - seconds * 10**9)
    return moment


def reason_name(error: error_pb2.ItemError) -> str:
    """The reason of an item's error, without prefix."""
    return error_pb2.ErrorReason.Name(error.reason).removeprefix(_ERROR_PREFIX)
