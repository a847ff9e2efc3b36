"""A small synthetic scheme that loads; tests change one thing and watch it refuse."""

from __future__ import annotations

SCHEME = """\
hutong: scheme/1
family: ex-jkm
name: {zh: 示例健康码, en: Example health code}
authority: "330100"
prefixes: ["3301"]
timezone: Asia/Shanghai
sources:
  S1: {grade: A, text: "Example Daily (synthetic)"}
versions:
  - id: "2020-02"
    valid_from: 2020-02-11
    valid_until: 2020-03-24T08:00:00+08:00
    evidence: [S1]
    states_seen: [绿码, 黄码, 红码, 未申领]
    states:
      绿码:
        level: GREEN
        meaning: {zh: 通行, en: free to pass}
      黄码:
        level: YELLOW
        basis: [SPACE]
        meaning: {zh: 七日内隔离, en: up to seven days of isolation}
        release: {days: 7, zh: 连续打卡七日, en: seven daily check-ins}
        evidence: [S1]
      红码:
        level: RED
        meaning: {zh: 隔离十四日, en: fourteen days of isolation}
        release: {days: 14}
      未申领:
        outcome: NOT_APPLIED
        meaning: {zh: 未申领, en: never applied}
    clocks:
      code: {life_seconds: 86400, from: assessed_at}
      declaration: {life_seconds: 1209600, from: declared_at}
      source_max_age_seconds: 172800
      future_leeway_seconds: 60
      carried_max_seconds: 21600
      required: [declared_at]
    reasons:
      - {contains: 密接, basis: [CONTACT]}
    qr:
      - pattern: "^https://code\\\\.example/\\\\?id=[0-9a-f]{32}$"
        region: "330100"
        presentation: qr_text
        examples: ["https://code.example/?id=0123456789abcdef0123456789abcdef"]
        counterexamples: ["https://code.example/?id=xyz"]
    several: report_all
    choices:
      - {what: records over two days old are not used, why: recomputed daily}
  - id: "2020-03"
    valid_from: 2020-03-24T08:00:00+08:00
    states_seen: [绿码, 红码]
    states:
      绿码: {level: GREEN, meaning: {zh: 通行, en: free to pass}}
      红码: {level: RESTRICTED, meaning: {zh: 限制, en: restricted}}
    clocks:
      code: {life: end_of_day, from: assessed_at}
    scopes: [全域]
"""

VECTORS = """\
hutong: vectors/1
scheme: ex-jkm
defaults:
  issued_by: "330100"
  assessed_at: 2020-03-01T08:00:00+08:00
  source_at: 2020-03-01T08:00:00+08:00
  declared_at: 2020-02-28T08:00:00+08:00
vectors:
  - name: green
    at: 2020-03-01T12:00:00+08:00
    reports: [{state: 绿码}]
    expect: {level: GREEN}
  - name: yellow-by-contact
    at: 2020-03-01T12:00:00+08:00
    reports: [{state: 黄码, reason: 原密接人员}]
    expect: {level: YELLOW, basis: [SPACE, CONTACT]}
  - name: red
    at: 2020-03-01T12:00:00+08:00
    reports: [{state: 红码}]
    expect: {level: RED}
  - name: never-applied
    at: 2020-03-01T12:00:00+08:00
    reports: [{state: 未申领}]
    expect: {outcome: NOT_APPLIED}
  - name: two-records
    at: 2020-03-01T12:00:00+08:00
    reports: [{state: 绿码}, {state: 红码}]
    expect: {level: RED, also: [GREEN]}
  - name: expired
    at: 2020-03-02T08:00:00+08:00
    reports: [{state: 绿码}]
    expect: {outcome: CODE_EXPIRED}
  - name: nobody
    at: 2020-03-01T12:00:00+08:00
    reports: []
    expect: {outcome: NOT_FOUND}
  - name: green-later
    at: 2020-04-01T12:00:00+08:00
    reports:
      - state: 绿码
        scope: 全域
        assessed_at: 2020-04-01T08:00:00+08:00
        source_at: 2020-04-01T08:00:00+08:00
    expect: {level: GREEN}
  - name: restricted-later
    at: 2020-04-01T12:00:00+08:00
    reports:
      - state: 红码
        scope: 全域
        assessed_at: 2020-04-01T08:00:00+08:00
        source_at: 2020-04-01T08:00:00+08:00
    expect: {level: RESTRICTED}
"""
