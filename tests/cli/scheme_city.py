"""A small city for the tests of ``hutong scheme``: two versions, YAML alone, no warning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.testing import CliRunner

from gateway.cli.scheme import app

if TYPE_CHECKING:
    from pathlib import Path

SCHEME = r"""# 示例 Example: made for tests.
hutong: scheme/1
family: ex-jkm
name: {zh: 示例健康码, en: Example health code}
authority: "330600"
prefixes: ["3306"]
timezone: Asia/Shanghai
sources:
  S1: {grade: A, text: "synthetic, 2020"}
  S2: {grade: C, text: "synthetic copy, 2021"}
versions:
  - id: "2020"
    valid_from: 2020-02-11
    valid_until: 2021-01-01
    evidence: [S1]
    states_seen: [绿码, 红码]
    states:
      绿码:
        level: GREEN
        meaning: {zh: 可通行, en: free to pass}
        evidence: [S1]
      红码:
        level: RESTRICTED
        meaning: {zh: 受限, en: restricted}
        release: {days: 14, zh: 十四日, en: fourteen days}
        evidence: [S1]
    clocks:
      code: {life_seconds: 86400, from: assessed_at}
      source_max_age_seconds: 172800
    reasons:
      - {contains: 密切接触, basis: [CONTACT]}
    qr:
      - pattern: "^https://ex\\.example/c/[0-9a-f]{8}$"
        region: "330600"
        presentation: qr_text
        examples: ["https://ex.example/c/00000001"]
    lost:
      - {zh: 原因原文, en: the wording of the reason}
    choices:
      - {what: a record older than two days is not used, why: no source tells}
  - id: "2021"
    valid_from: 2021-01-01
    evidence: [S2]
    states_seen: [绿码, 黄码, 红码, 未申领, 灰码]
    states:
      绿码:
        level: GREEN
        meaning: {zh: 可通行, en: free to pass}
        evidence: [S1]
      黄码:
        level: YELLOW
        meaning: {zh: 居家观察, en: observed at home}
        release: {days: 7, zh: 七日, en: seven days}
        evidence: [S2]
      红码:
        level: RED
        meaning: {zh: 集中隔离, en: isolated}
        release: {days: 14, zh: 十四日, en: fourteen days}
        evidence: [S2]
      未申领:
        outcome: NOT_APPLIED
        meaning: {zh: 未申领, en: never applied}
        evidence: [S2]
      灰码:
        outcome: CANNOT_DETERMINE
        meaning: {zh: 不能确认, en: not confirmed}
        evidence: [S2]
    clocks:
      code: {life: end_of_day, from: assessed_at}
      source_max_age_seconds: 86400
    reasons:
      - {contains: 密切接触, basis: [CONTACT]}
    qr:
      - pattern: "^https://ex\\.example/c/[0-9a-f]{8}$"
        region: "330600"
        presentation: qr_text
        examples: ["https://ex.example/c/00000001"]
    lost:
      - {zh: 原因原文, en: the wording of the reason}
    choices:
      - {what: a record older than a day is not used, why: it is recomputed daily}
connector:
  http:
    ask:
      document:
        method: POST
        path: /ask
        send: json
        document_types: {10: "1"}
        fields: {type: "{type}", number: "{number}"}
      qr_text:
        method: POST
        path: /scan
        send: json
        fields: {code: "{text}"}
    answer:
      code:
        path: head.code
        ok: ["0"]
        outcomes: {"31": NOT_APPLIED, "99": SOURCE_BUSY}
      flags:
        - {path: head.expired, is: true, outcome: CODE_EXPIRED}
      records: body.list
      report:
        state: {path: colour, map: {G: 绿码, Y: 黄码, R: 红码, grey: 灰码}}
        issued_by: {path: city}
        assessed_at: {path: at, time: "%Y-%m-%d %H:%M:%S"}
        source_at: {path: changed, time: "%Y-%m-%d %H:%M:%S"}
        reason: {path: why}
"""

VECTORS = """# Synthetic.
hutong: vectors/1
scheme: ex-jkm
defaults:
  issued_by: "330600"
  assessed_at: 2020-03-01T08:00:00+08:00
  source_at: 2020-03-01T08:00:00+08:00
vectors:
  - name: green-of-2020
    at: 2020-03-01T12:00:00+08:00
    reports: [{state: 绿码}]
    expect: {level: GREEN}
  - name: red-of-2020
    at: 2020-03-01T12:00:00+08:00
    reports: [{state: 红码}]
    expect: {level: RESTRICTED}
"""

_LATER = "assessed_at: 2021-03-01T08:00:00+08:00, source_at: 2021-03-01T08:00:00+08:00"
VECTORS += "".join(
    f"""  - name: {name}
    at: 2021-03-01T12:00:00+08:00
    reports: [{{state: {state}, {_LATER}}}]
    expect: {{{expect}}}
"""
    for name, state, expect in (
        ("green-of-2021", "绿码", "level: GREEN"),
        ("yellow-of-2021", "黄码", "level: YELLOW"),
        ("red-of-2021", "红码", "level: RED"),
        ("not-applied", "未申领", "outcome: NOT_APPLIED"),
        ("grey", "灰码", "outcome: CANNOT_DETERMINE"),
    )
)

runner = CliRunner()


def write_city(folder: Path, scheme: str = SCHEME, vectors: str = VECTORS) -> Path:
    """Write the city, or one that was changed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scheme.yaml").write_text(scheme, "utf-8")
    (folder / "vectors.yaml").write_text(vectors, "utf-8")
    return folder


def line_of(text: str, part: str) -> int:
    """The line on which a part first stands, counted from 1."""
    assert part in text, part
    return text[: text.index(part)].count("\n") + 1


def run(*words: object, stdin: bytes | None = None) -> Any:
    """Run a command in this process."""
    return runner.invoke(app, [str(word) for word in words], input=stdin)
