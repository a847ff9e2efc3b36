r"""Schemes: how one city's codes are described, and when a description is refused.

A scheme is written by people in two files that stand side by side,
``scheme.yaml`` (what the codes are) and ``vectors.yaml`` (proof that every state
was thought through). Both are read by :func:`load_scheme`; the same function
reads the signed JSON document of the feed, which holds both.

``scheme.yaml``::

    hutong: scheme/1                  # format; required, exactly this
    family: ex-jkm                    # ^[a-z][a-z0-9-]{1,31}$
    name: {zh: 示例健康码, en: Example health code}
    authority: "990100"               # six digits: the region that signs; quoted
    prefixes: ["9901"]                # whom it serves: 2, 4 or 6 digits each; quoted;
                                      # inside the authority's own division (registry rule)
    timezone: Asia/Shanghai           # where its days begin and end
    sources:                          # where facts come from; may be empty
      S1: {grade: A, text: "Example Daily, 2020-02-11"}   # grade A B C K S, see research
    versions:                         # at least one, in any order, never overlapping
      - id: "2020-02"                 # dated scheme becomes ex-jkm@2020-02
        valid_from: 2020-02-11        # date: 00:00 in `timezone`; or a time with offset
        valid_until: 2020-03-24T08:00:00+08:00   # exclusive; leave out: still in force
        evidence: [S1]                # keys of `sources`
        states_seen: [绿码, 黄码, 未申领]   # every word the platform is known to write
        states:                       # every word of states_seen stands here
          绿码:
            level: GREEN              # GREEN YELLOW RED RESTRICTED …
            meaning: {zh: 通行, en: free to pass}
          黄码:
            level: YELLOW
            basis: [SPACE]            # grounds the state always has: SPACE TIME CONTACT
                                      # DECLARATION TEST ADMINISTRATIVE; may be left out
            meaning: {zh: 七日内隔离, en: up to seven days of isolation}
            release: {days: 7, zh: 连续打卡七日, en: seven daily check-ins}  # way back;
                                      # each member optional, days 1 to 366
            evidence: [S1]
          未申领:
            outcome: NOT_APPLIED      # … or an outcome, exactly one of the two.
                                      # EVIDENCE_ONLY: the system answered soundly, and what
                                      # it says is no level; state and itinerary go along
            meaning: {zh: 未申领, en: never applied}
        clocks:                       # may be left out, as may each member
          code: {life_seconds: 86400, from: assessed_at}   # or {life: end_of_day, from: …}:
                                      # until 24:00 of that day in `timezone`.
                                      # from: assessed_at, source_at or declared_at.
                                      # Left out: the code has no end of its own
          declaration: {life_seconds: 1209600, from: declared_at}
          source_max_age_seconds: 172800   # older records: CANNOT_DETERMINE
          future_leeway_seconds: 60   # 0 to 600; dates further ahead: SOURCE_UNPARSABLE
          carried_max_seconds: 21600  # 60 to 86400; life of carried attestations
          required: [declared_at]     # missing: SOURCE_UNPARSABLE. assessed_at and
                                      # source_at are always required
        scopes: [本域内通行码]          # the scope words under which the states hold; left
                                      # out: scope is not looked at. Another scope, or none:
                                      # CANNOT_DETERMINE
        reasons:                      # words in the platform's free text → grounds
          - {contains: 密接, basis: [CONTACT]}
        qr:                           # how QR texts look; see gateway.codes.qr_pattern
          - pattern: "^https://code\\.example/\\?id=[0-9a-f]{32}$"
            region: "990100"          # whose adapter is asked; within `prefixes`
            presentation: qr_text     # or: document, with document_type: 10 and a group
                                      # (?P<number>…) that holds the document number
            examples: ["https://code.example/?id=0123456789abcdef0123456789abcdef"]
            counterexamples: ["https://code.example/?id=xyz"]     # may be left out
        foreign: leave_out_green      # for a platform that also reads other regions' records:
                                      # one issued outside `prefixes` that is GREEN is left
                                      # out; any other, or no record of its own:
                                      # CANNOT_DETERMINE. Left out: the authority signs for
                                      # its own prefixes only, so each one is CANNOT_DETERMINE
        import:                       # when another region's attestation becomes a local
                                      # code of this one (docs/spec/adapter.md); left out:
                                      # never. All of:
          levels: [GREEN]             # levels that convert
          origins: ["33", "42"]       # prefixes of origins; null: any but our own
          schemes: null               # families (hz-jkm) or dated schemes (hz-jkm@2020-02);
                                      # null: any
          max_age_seconds: 86400      # a level assessed longer ago does not convert
          negative_test_max_age_seconds: null   # or: a sample no older is required
          answers_must_be_no: true    # each of the holder's own answers
          life_seconds: 86400         # 60 to 31 days; the origin's clocks may end it sooner
          state: 绿码                  # the local state it gets, one of `states`, not less
                                      # restrictive than any of `levels`
          evidence: [S1]              # may be left out
        lost:                         # what is lost in translation; [] where nothing is.
                                      # Required of every scheme that ships with this project
          - {zh: 橙与黄不再区分, en: orange and yellow are no longer told apart}
        several: report_all           # several records of one person: all are reported,
                                      # the most restrictive first; the only value
        choices:                      # what the sources do not say and was chosen
          - {what: a record older than two days is not used, why: it is recomputed daily}
    connector: …                      # see adapters.sdk.connectors; never published

``vectors.yaml`` (everything in it is synthetic)::

    hutong: vectors/1
    scheme: ex-jkm
    defaults: {issued_by: "990100"}   # members for every report that lacks them
    vectors:
      - name: green-in-force          # unique
        at: 2020-03-01T12:00:00+08:00 # when it is asked; picks the version
        reports:                      # 0 to 16; members as in adapters.sdk.LocalReport:
          - state: 绿码                # required, as is issued_by (here or in defaults)
            assessed_at: 2020-03-01T03:00:00+08:00
            source_at: 2020-03-01T03:00:00+08:00
            # also: valid_until declared_at declaration_valid_until reason rule scope
            #       area release_days_done basis negative_test_at, and
            #       itinerary: {window_days: 14, as_of: 2020-03-01T00:00:00+08:00,
            #                   places: [{division: "330100", starred: true}]}
        expect: {level: GREEN}        # or {outcome: CODE_EXPIRED}; with a level also
                                      # {level: RED, also: [GREEN], basis: [CONTACT]}

A scheme does not load when a member is unknown, missing or of the wrong type; a
word of ``states_seen`` is unmapped; two versions overlap; a state of a version has
**no vector that asks about it alone** within that version and expects exactly the
level or outcome it is mapped to; a conversion would make a state less restrictive
than the level it is made of; a QR pattern could run long, does not match its
examples or does match a counterexample; a key of ``evidence`` is not in
``sources``. Every problem has a line, a path, a message and a fix; all are
reported at once. Whether each vector comes out as expected is found by running
the translation (``adapters.sdk.vectors``), which an adapter does before it serves.
"""

from __future__ import annotations

from gateway.codes.qr_pattern import QrPattern as QrPattern
from gateway.codes.qr_pattern import QrPatternError as QrPatternError
from gateway.codes.scheme_loader import load_scheme as load_scheme
from gateway.codes.scheme_model import Choice as Choice
from gateway.codes.scheme_model import Clocks as Clocks
from gateway.codes.scheme_model import ClockStart as ClockStart
from gateway.codes.scheme_model import Foreign as Foreign
from gateway.codes.scheme_model import ImportRule as ImportRule
from gateway.codes.scheme_model import Life as Life
from gateway.codes.scheme_model import Loss as Loss
from gateway.codes.scheme_model import ReasonHint as ReasonHint
from gateway.codes.scheme_model import Scheme as Scheme
from gateway.codes.scheme_model import SchemeError as SchemeError
from gateway.codes.scheme_model import SchemeVersion as SchemeVersion
from gateway.codes.scheme_model import Several as Several
from gateway.codes.scheme_model import Source as Source
from gateway.codes.scheme_model import StateRule as StateRule
from gateway.codes.scheme_model import Vector as Vector
