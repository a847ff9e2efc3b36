"""Whom to trust: members, their keys and statements, and the feed that says so.

Pure: everything takes bytes and a clock, raises a ``TrustError``, and never touches
disk or network. In the order in which trust flows:

* :mod:`anchor`: the hub and its keys, handed over by hand;
* :mod:`statements`, :mod:`keys`, :mod:`authority`, :mod:`enrolment`: what members
  say about themselves and how a hub checks it;
* :mod:`lifecycle`: how their keys change; :mod:`distrust`: what is not believed;
* :mod:`feed`, :mod:`kinds`, :mod:`entries`: the hub's signed, numbered, chained changes;
* :mod:`replica`: a reader's verified copy of them;
* :mod:`bundle`: the answers that the copy gives.
"""

from __future__ import annotations

from gateway.trust.anchor import HubKeyUse as HubKeyUse
from gateway.trust.anchor import TrustAnchor as TrustAnchor
from gateway.trust.anchor import anchor_of as anchor_of
from gateway.trust.anchor import make_anchor as make_anchor
from gateway.trust.anchor import parse_anchor as parse_anchor
from gateway.trust.authority import Authority as Authority
from gateway.trust.authority import EnrolmentBody as EnrolmentBody
from gateway.trust.authority import MemberKind as MemberKind
from gateway.trust.authority import MemberState as MemberState
from gateway.trust.authority import parse_authority as parse_authority
from gateway.trust.authority import parse_enrolment as parse_enrolment
from gateway.trust.bundle import TrustBundle as TrustBundle
from gateway.trust.distrust import DistrustRule as DistrustRule
from gateway.trust.distrust import parse_distrust_rule as parse_distrust_rule
from gateway.trust.enrolment import verify_enrolment as verify_enrolment
from gateway.trust.enrolment import verify_enrolment_proofs as verify_enrolment_proofs
from gateway.trust.entries import Distrust as Distrust
from gateway.trust.entries import Notice as Notice
from gateway.trust.entries import Silence as Silence
from gateway.trust.entries import StatusEntry as StatusEntry
from gateway.trust.entries import Superior as Superior
from gateway.trust.entries import distrust_body as distrust_body
from gateway.trust.entries import notice_body as notice_body
from gateway.trust.entries import silence_body as silence_body
from gateway.trust.entries import superior_body as superior_body
from gateway.trust.errors import AnchorError as AnchorError
from gateway.trust.errors import DistrustError as DistrustError
from gateway.trust.errors import FeedError as FeedError
from gateway.trust.errors import FeedFault as FeedFault
from gateway.trust.errors import KeyChangeError as KeyChangeError
from gateway.trust.errors import KeyChangeFault as KeyChangeFault
from gateway.trust.errors import KeyMaterialError as KeyMaterialError
from gateway.trust.errors import Missing as Missing
from gateway.trust.errors import PossessionError as PossessionError
from gateway.trust.errors import StatementError as StatementError
from gateway.trust.errors import TrustLookupError as TrustLookupError
from gateway.trust.feed import FeedEntry as FeedEntry
from gateway.trust.feed import FeedHead as FeedHead
from gateway.trust.feed import FeedKind as FeedKind
from gateway.trust.feed import FeedManifest as FeedManifest
from gateway.trust.feed import entry_digest as entry_digest
from gateway.trust.feed import verify_entry as verify_entry
from gateway.trust.feed import verify_head as verify_head
from gateway.trust.feed import verify_manifest as verify_manifest
from gateway.trust.feed_log import FeedLog as FeedLog
from gateway.trust.feed_log import authority_change as authority_change
from gateway.trust.feed_log import statement_change as statement_change
from gateway.trust.feed_log import withdrawal_change as withdrawal_change
from gateway.trust.hub_keys import HubKeySet as HubKeySet
from gateway.trust.hub_keys import hub_keys_change as hub_keys_change
from gateway.trust.hub_walk import walked as walked
from gateway.trust.key_proofs import KeyProof as KeyProof
from gateway.trust.key_proofs import key_proof as key_proof
from gateway.trust.keys import KeyState as KeyState
from gateway.trust.keys import KeyUse as KeyUse
from gateway.trust.keys import MemberKey as MemberKey
from gateway.trust.keys import parse_member_key as parse_member_key
from gateway.trust.keys import sealing_member_key as sealing_member_key
from gateway.trust.keys import signing_member_key as signing_member_key
from gateway.trust.lifecycle import LEAD_TIME as LEAD_TIME
from gateway.trust.lifecycle import KeyChange as KeyChange
from gateway.trust.lifecycle import KeyMove as KeyMove
from gateway.trust.lifecycle import apply_key_change as apply_key_change
from gateway.trust.lifecycle import parse_key_change as parse_key_change
from gateway.trust.lifecycle import usable_keys as usable_keys
from gateway.trust.live_rules import Published as Published
from gateway.trust.rehearsals import Rehearsal as Rehearsal
from gateway.trust.rehearsals import check_sample as check_sample
from gateway.trust.rehearsals import parse_rehearsal as parse_rehearsal
from gateway.trust.rehearsals import rehearsal_body as rehearsal_body
from gateway.trust.replica import FeedReplica as FeedReplica
from gateway.trust.replica import Listing as Listing
from gateway.trust.statements import Statement as Statement
from gateway.trust.statements import StatementKind as StatementKind
from gateway.trust.statements import check_scope as check_scope
from gateway.trust.statements import sign_statement as sign_statement
from gateway.trust.statements import statement_digest as statement_digest
from gateway.trust.statements import verify_statement as verify_statement
