"""Conversion from both ends: the suite is an origin whose attestations are imported.

The profile says whom the adapter under test believes::

    import:
      origin: {authority: "urn:hutong:region:440000", attest: origin-attest.jwk}
      feed: {listen: "127.0.0.1:7600", key: suite-feed.jwk}   # left out: it knows already
      traveller: {document: {type: 10, number: "…"}, name: 测试甲}
      own-record: {document: {type: 10, number: "…"}, name: 测试乙}

``attest`` is a private key of the suite. With ``feed`` the suite serves the feed that
names its public half; without it, the adapter has to know it by other means. The
traveller is unknown to the destination; ``own-record`` is somebody about whom it holds
a record that is less than green; ``broken-platform`` is a traveller with an ``arrange``
(see ``arranging``) that makes the platform's import door fail.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError
from hutong.v1 import adapter_service_pb2, code_pb2, exchange_pb2

from conformance_tests import crypto
from conformance_tests.attestations import attest, bound_to, import_claims
from conformance_tests.feed import SuiteFeed
from conformance_tests.model import Case, CheckFailedError, Observed, UntestableError, VoidError
from conformance_tests.roles import calls
from conformance_tests.roles.arranging import arranged
from conformance_tests.roles.asking import reason_name, seconds_ago, set_document
from conformance_tests.roles.plan import Plan

if TYPE_CHECKING:
    from conformance_tests.profile import Profile
    from conformance_tests.roles.asking import AdapterPlan, Asker

_READY_SECONDS = 10.0
"""An adapter that follows the feed has it by then."""
_POLL_SECONDS = 0.05
_CODE_SECONDS = 6 * 3600
"""Life of the origin's code; a converted code may not outlive it."""
_SOMEBODY = {"type": 10, "number": "110101190001010037"}  # born in 1900: nobody's
_SCHEME = "suite-origin@1"


@dataclass(frozen=True, slots=True)
class ImportPlan(Plan):
    """A sound import; a case changes one property."""

    import_person: str = "traveller"
    import_level: str = "GREEN"
    import_about: str = "traveller"
    import_bound: bool = True
    import_use: str = "import"
    import_audience: str = ""
    import_expired: bool = False
    import_signed_by: str = "origin"
    import_assessed_seconds_ago: int = 600
    import_contact: str = "NO"
    import_asked_seconds_ago: int = 0
    import_purpose: str = "PURPOSE_HOLDER"
    import_twice: bool = False
    import_label: str = "import"


@dataclass(frozen=True, slots=True)
class _SealedImport:
    sealed: exchange_pb2.SealedQuestion
    batch: exchange_pb2.ImportBatch
    binding: crypto.Binding
    plan: AdapterPlan


class Importing:
    """Plays the checks of conversion.

    Args:
        profile: the implementer's declaration.
        asker: signs grants and knows the adapter.
    """

    def __init__(self, profile: Profile, asker: Asker) -> None:
        self._profile = profile
        self._asker = asker
        self._entry: dict[str, Any] = dict(profile.entries.get("import", {}))
        self._stranger = crypto.new_signing_key()
        self._is_ready = "feed" not in self._entry
        self._key = crypto.new_signing_key()
        self._origin = "urn:hutong:region:990000"
        if self._entry:
            name = str(profile.need("import", "origin", "attest"))
            self._key = crypto.load_key(profile.read_json(name))
            self._origin = str(profile.need("import", "origin", "authority"))

    def feed(self) -> tuple[SuiteFeed, str] | None:
        """The feed that the suite has to serve, and where; None: none."""
        if "feed" not in self._entry:
            return None
        name = str(self._profile.need("import", "feed", "key"))
        key = crypto.load_key(self._profile.read_json(name))
        listen = str(self._profile.need("import", "feed", "listen"))
        return SuiteFeed(self._asker.hub, key, self._origin, self._key), listen

    async def describe(self) -> adapter_service_pb2.DescribeResponse | Observed:
        """Ask what the adapter is; or say how it refused."""
        try:
            return await self._asker.stub.Describe(
                adapter_service_pb2.DescribeRequest(), timeout=calls.CALL_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            calls.reach(error, self._profile)
            return calls.refusal(error)

    async def exchange(self, case: Case) -> Observed:
        """Import once, sound but for the case's change."""
        plan = ImportPlan(import_audience=self._asker.authority).changed(case.change)
        async with arranged(self._traveller(plan.import_person)):
            seen = await self._send(self._seal(plan, self._token(plan)))
        observed = self._observed(plan, seen)
        if not case.change and not case.expect and observed.kind != "answer":
            raise VoidError(f"it was not converted: {observed.code} {observed.value}")
        return observed

    async def scenario(self, name: str) -> Observed:
        """Play a named scenario."""
        scenarios = {
            "import_described": self._described,
            "import_converts": self._converts,
            "import_repeats": self._repeats,
            "import_lengths": self._lengths,
        }
        return await scenarios[name]()

    # -- scenarios --------------------------------------------------------------

    async def _described(self) -> Observed:
        if "import" in self._profile.capabilities:
            await self._ready()
        seen = await self.describe()
        if isinstance(seen, Observed):
            return seen
        plan = ImportPlan(import_person="somebody")
        sealed = self._seal(plan, ("nothing", os.urandom(16)))
        answered = await self._call(sealed)
        refused = isinstance(answered, Observed) and answered.reason == "IMPORT_NOT_OFFERED"
        if "import" in self._profile.capabilities and not seen.imports:
            raise CheckFailedError("import is declared, and Describe says that none is served")
        if seen.imports and refused:
            raise CheckFailedError("Describe says that Import is served, and it is not")
        if not seen.imports and not refused:
            raise CheckFailedError("Describe says that no Import is served, and it is not refused")
        return Observed(kind="answer")

    async def _converts(self) -> Observed:
        plan = ImportPlan(import_audience=self._asker.authority)
        now, nonce = time.time(), os.urandom(16)
        claims = self._claims(plan, nonce)
        answer = await self._local_code(plan, (attest(claims, self._key), nonce))
        ends = answer.valid_until.ToSeconds()
        if not (answer.scheme and answer.state and answer.qr_text):
            raise CheckFailedError("a local code lacks its scheme, state or QR text (HT-ADP-12)")
        if not now < ends <= claims["code"]["valid_until"]:
            raise CheckFailedError("a local code outlives the code it rests on (HT-ADP-16)")
        if answer.origin != self._origin.rpartition(":")[2]:
            raise CheckFailedError("a local code does not name its origin (HT-ADP-16)")
        if answer.negative_test_at.ToSeconds() != claims["code"]["negative_test_at"]:
            raise CheckFailedError("the negative test did not travel along (HT-ADP-16)")
        return Observed(kind="answer")

    async def _repeats(self) -> Observed:
        plan = ImportPlan(import_audience=self._asker.authority)
        token = self._token(plan)
        first, again = await self._local_code(plan, token), await self._local_code(plan, token)
        if first != again:
            raise CheckFailedError("a repeated import gave another local code (HT-ADP-17)")
        return Observed(kind="answer")

    async def _lengths(self) -> Observed:
        lengths = set()
        for level in ("GREEN", "RED"):
            plan = ImportPlan(import_audience=self._asker.authority, import_level=level)
            answered = await self._call(self._seal(plan, self._token(plan)))
            if isinstance(answered, Observed):
                return answered
            lengths.add(len(answered))
        if len(lengths) > 1:
            raise CheckFailedError("the length of an answer tells whether it converts (HT-SEAL-8)")
        return Observed(kind="answer")

    async def _local_code(
        self, plan: ImportPlan, token: tuple[str, bytes]
    ) -> exchange_pb2.LocalCode:
        seen = await self._send(self._seal(plan, token))
        if isinstance(seen, Observed) or not seen[0].HasField("local_code"):
            found = seen if isinstance(seen, Observed) else self._observed(plan, seen)
            raise CheckFailedError(f"a sound import was not converted: {found.code} {found.value}")
        return seen[0].local_code

    # -- building ---------------------------------------------------------------

    def _traveller(self, name: str) -> dict[str, Any]:
        if name == "somebody":
            return {"document": _SOMEBODY, "name": "测试"}
        if name not in self._entry:
            raise UntestableError(f"import is declared, but `import.{name}` is missing")
        return dict(self._entry[name])

    def _token(self, plan: ImportPlan) -> tuple[str, bytes]:
        nonce = os.urandom(16)
        key = self._stranger if plan.import_signed_by == "stranger" else self._key
        return attest(self._claims(plan, nonce), key, kid=self._key["kid"]), nonce

    def _claims(self, plan: ImportPlan, nonce: bytes) -> dict[str, Any]:
        now = int(time.time())
        about = plan.import_person if plan.import_about == "traveller" else plan.import_about
        document = self._traveller(about)["document"]
        code = {
            "level": plan.import_level,
            "scheme": _SCHEME,
            "state": "绿码" if plan.import_level == "GREEN" else "红码",
            "assessed_at": now - plan.import_assessed_seconds_ago,
            "source_at": now - 60,
            "issued_by": self._origin.rpartition(":")[2],
            "valid_until": now + _CODE_SECONDS,
            "negative_test_at": now - 3600,
        }
        bound = bound_to(nonce, int(document["type"]), str(document["number"]))
        claims = import_claims(
            issuer=self._origin,
            audience=plan.import_audience,
            code=code,
            bound=bound if plan.import_bound and plan.import_use == "import" else None,
        )
        if plan.import_use == "online":
            claims |= {"use": "online", "nonce": crypto.b64(nonce)}
        if plan.import_expired:
            for name in ("iat", "nbf", "exp"):
                claims[name] -= 720
        return claims

    def _seal(self, plan: ImportPlan, token: tuple[str, bytes]) -> _SealedImport:
        text, nonce = token
        shown = self._traveller(plan.import_person)
        answers = {"contact": plan.import_contact, "risk_area": "NO", "overseas": "NO"}
        message = exchange_pb2.Import(
            nonce=nonce,
            attestation=text,
            name=str(shown["name"]),
            declarations=code_pb2.Declarations(
                **{
                    question: code_pb2.TriState.Value(f"TRI_STATE_{answer}")
                    for question, answer in answers.items()
                }
            ),
        )
        set_document(message.document, shown["document"])
        batch = exchange_pb2.ImportBatch(
            reply_key=os.urandom(32),
            asked_at=seconds_ago(plan.import_asked_seconds_ago),
            imports=[message] * (2 if plan.import_twice else 1),
        )
        asker = self._asker
        purpose = plan.import_purpose.removeprefix("PURPOSE_")
        binding = crypto.Binding(asker.authority, asker.caller, purpose)
        envelope = crypto.seal_question(
            asker.seal_key, batch.SerializeToString(), binding, f"hutong/v1/{plan.import_label}"
        )
        call = asker.plan().changed({"question.purpose": plan.import_purpose})
        return _SealedImport(asker.sealed_question(call, envelope), batch, binding, call)

    # -- asking and reading -------------------------------------------------------

    async def _ready(self) -> None:
        """Wait until the adapter has taken up the feed; then, or too late, go on."""
        if self._is_ready:
            return
        self._is_ready = True
        ends = time.monotonic() + _READY_SECONDS
        while time.monotonic() < ends:
            seen = await self.describe()
            if isinstance(seen, Observed) or seen.imports:
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _call(self, sealed: _SealedImport) -> bytes | Observed:
        if self._entry:
            await self._ready()
        try:
            response = await self._asker.stub.Import(
                adapter_service_pb2.ImportRequest(sealed=sealed.sealed),
                metadata=self._asker.metadata(sealed.plan),
                timeout=calls.CALL_SECONDS,
            )
        except grpc.aio.AioRpcError as error:
            calls.reach(error, self._profile)
            return calls.refusal(error, secrets=(sealed.batch.imports[0].document.number,))
        return response.envelope

    async def _send(self, sealed: _SealedImport) -> list[exchange_pb2.ImportAnswer] | Observed:
        answered = await self._call(sealed)
        if isinstance(answered, Observed):
            return answered
        try:
            plaintext = crypto.open_answer(
                sealed.batch.reply_key,
                answered,
                sealed.binding,
                self._asker.seal_key.profile,
                crypto.IMPORT_ANSWER,
            )
            answers = exchange_pb2.ImportAnswerBatch.FromString(plaintext).answers
        except (crypto.OpenFailedError, DecodeError):
            return Observed(kind="answer", notes=("the answer does not open (HT-SEAL-9)",))
        if [each.nonce for each in answers] != [each.nonce for each in sealed.batch.imports]:
            return Observed(kind="answer", notes=("not one answer an import (HT-ADP-12)",))
        return list(answers)

    def _observed(
        self, plan: ImportPlan, seen: list[exchange_pb2.ImportAnswer] | Observed
    ) -> Observed:
        if isinstance(seen, Observed):
            return seen
        if plan.import_twice and not seen[0].HasField("local_code"):
            return Observed(kind="answer", notes=("the first of two was not converted",))
        answer = seen[-1]
        if answer.HasField("refusal"):
            name = exchange_pb2.ImportRefusal.Name(answer.refusal)
            return Observed(kind="refusal", value=name.removeprefix("IMPORT_REFUSAL_"))
        if answer.HasField("error"):
            return Observed(kind="item error", value=reason_name(answer.error))
        return Observed(kind="answer", value="converted")
