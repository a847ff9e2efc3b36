"""Words for every refusal: of attestations, of the exchange, of the edge itself.

Code → (Chinese, English). The codes are those of ``gateway.attestation`` and
``gateway.trust`` (what does not hold), of ``hutong.v1.ErrorReason`` (what a peer
refused), and of ``gateway.edge`` (what this checkpoint could not use).
"""

from __future__ import annotations

from typing import Final

_ATTESTATION: Final = {
    "ATTESTATION_MALFORMED": (
        "互认凭证格式错误，无法识读。",
        "The attestation is malformed and cannot be read.",
    ),
    "ATTESTATION_TOO_LARGE": (
        "互认凭证过大，不予识读。",
        "The attestation is too large to be read.",
    ),
    "ATTESTATION_HEADER": (
        "互认凭证的头部不合规范。",
        "The attestation's header breaks the specification.",
    ),
    "ATTESTATION_ALGORITHM": (
        "互认凭证使用了不允许的签名算法。",
        "The attestation uses a signature algorithm that is not allowed.",
    ),
    "KEY_UNKNOWN": (
        "签发密钥不在信任名录中，无法确认凭证真伪。",
        "The signing key is not in the trust list; the attestation cannot be confirmed.",
    ),
    "KEY_NOT_VALID_NOW": (
        "签发密钥不在有效期内。",
        "The signing key is not valid at this time.",
    ),
    "ISSUER_NOT_ALLOWED": (
        "签发方无权为该地区签发。",
        "The signer may not speak for that region.",
    ),
    "SIGNATURE_INVALID": (
        "签名不符，凭证系伪造或已被改动。",
        "The signature does not verify: the attestation is forged or altered.",
    ),
    "KEY_TAINTED": (
        "签发密钥自该时刻起不再可信，请重新获取凭证。",
        "The signing key is not trusted from that moment on; fetch a new attestation.",
    ),
    "KEY_REVOKED": (
        "签发密钥已被吊销，请重新获取凭证。",
        "The signing key has been revoked; fetch a new attestation.",
    ),
    "ATTESTATION_DISTRUSTED": (
        "该批凭证已被撤信，请重新获取。",
        "Attestations of this kind are not trusted at present; fetch a new one.",
    ),
    "CONSTRAINT_EXCEEDED": (
        "签发方超出了上级授予的范围。",
        "The signer went beyond what its superior allows.",
    ),
    "ATTESTATION_REVOKED": (
        "该凭证已被签发地撤销，请重新获取。",
        "The issuing region has revoked this attestation; fetch a new one.",
    ),
    "ATTESTATION_ON_HOLD": (
        "该凭证被签发地暂停使用。",
        "The issuing region has put this attestation on hold.",
    ),
    "STATUS_UNKNOWN": (
        "无法确认该凭证是否已被撤销。",
        "Whether this attestation was revoked cannot be told here.",
    ),
    "STATUS_LIST_INVALID": (
        "撤销名单不成立，无法确认。",
        "The status list does not hold; nothing can be told from it.",
    ),
    "DISCLOSURE_INVALID": (
        "凭证所披露的内容与签名不符。",
        "What the attestation discloses does not match its signature.",
    ),
    "ATTESTATION_EXPIRED": (
        "互认凭证已过期，请重新获取后再出示。",
        "The attestation has expired; fetch a new one and come back.",
    ),
    "ATTESTATION_NOT_YET_VALID": (
        "互认凭证尚未生效。",
        "The attestation is not valid yet.",
    ),
    "AUDIENCE_MISMATCH": (
        "该凭证是为其他地区签发的，在此无效。",
        "The attestation was made for another region and means nothing here.",
    ),
    "ATTESTATION_REPLAYED": (
        "该凭证已在别处使用过或被重放，请重新获取。",
        "The attestation is being replayed; fetch a new one.",
    ),
    "CLAIMS_INVALID": (
        "互认凭证的内容不合规范。",
        "The attestation's content breaks the specification.",
    ),
    "LIFETIME_TOO_LONG": (
        "互认凭证的有效期超过允许的长度。",
        "The attestation claims a longer life than is allowed.",
    ),
    "ARMOUR_INVALID": (
        "二维码中的凭证不完整或已损坏。",
        "The attestation in the QR code is incomplete or damaged.",
    ),
    "KEY_MALFORMED": ("密钥格式错误。", "A key is malformed."),
}

_TRUST: Final = {
    "AUTHORITY_SUSPENDED": (
        "签发地区已被暂停参与互认。",
        "The issuing region is suspended from recognition.",
    ),
    "POLICY_UNKNOWN": (
        "本地区尚未发布互认政策。",
        "This region has published no recognition policy.",
    ),
    "STATEMENT_INVALID": ("一份签名声明不成立。", "A signed statement does not hold."),
    "POSSESSION_NOT_PROVEN": ("密钥持有未获证明。", "Possession of a key was not proven."),
    "ANCHOR_INVALID": ("信任锚文件无法使用。", "The trust anchor file cannot be used."),
    "FEED_MALFORMED": ("信任名录数据格式错误。", "The trust feed is malformed."),
    "FEED_SIGNATURE": ("信任名录的签名不符。", "The trust feed's signature does not verify."),
    "FEED_ROLLED_BACK": ("信任名录被倒回旧版本。", "The trust feed was rolled back."),
    "FEED_GAP": (
        "信任名录有缺失，须重新同步。",
        "The trust feed has a gap and must be resynchronised.",
    ),
    "FEED_FORK": ("信任名录出现分叉。", "The trust feed has forked."),
    "FEED_FROM_FUTURE": (
        "信任名录的时间超前，请检查本机时钟。",
        "The trust feed is dated ahead; check this machine's clock.",
    ),
    "FEED_UNSUPPORTED": (
        "信任名录含有本机软件不认识的必要内容，请升级。",
        "The trust feed holds something essential that this software does not know; update it.",
    ),
    "AUTHORITY_WITHDRAWN": (
        "该机构已退出互认。",
        "That authority has left the federation.",
    ),
    "PACK_INVALID": (
        "离线包不成立，未作任何更改。",
        "The pack does not hold; nothing was changed.",
    ),
    "REPLICA_MISSING": (
        "本机尚未同步信任名录。",
        "This checkpoint has never synchronised its trust list.",
    ),
    "REPLICA_DAMAGED": (
        "本机的信任名录已损坏，须重新同步。",
        "This checkpoint's trust list is damaged and must be resynchronised.",
    ),
}

_EXCHANGE: Final = {
    "INVALID_REQUEST": ("请求内容不合规范。", "The request breaks a field rule."),
    "DEADLINE_MISSING": ("请求没有给出时限。", "The request carries no deadline."),
    "MESSAGE_TOO_LARGE": ("请求过大。", "The request is too large."),
    "DUPLICATE_ID": ("请求编号重复。", "The request's number is already in use."),
    "TOKEN_MISSING": ("查验点未登录互认网关。", "The checkpoint is not signed in to the hub."),
    "TOKEN_INVALID": (
        "查验点的登录凭据无效。",
        "The checkpoint's access token does not verify.",
    ),
    "TOKEN_EXPIRED": ("查验点的登录已过期。", "The checkpoint's access token has expired."),
    "SCOPE_MISSING": (
        "查验点没有此项查询权限。",
        "The checkpoint is not permitted to ask this.",
    ),
    "CALLER_SUSPENDED": ("本查验点已被暂停。", "This checkpoint is suspended."),
    "PURPOSE_NOT_ALLOWED": (
        "查验点不得为此用途查询。",
        "The checkpoint may not ask for this purpose.",
    ),
    "AUDIENCE_NOT_ALLOWED": (
        "查验点不得为该地区索取凭证。",
        "The checkpoint may not ask on behalf of that region.",
    ),
    "UNKNOWN_REGION": (
        "出发地尚未接入互认。",
        "The origin region is not connected.",
    ),
    "REGION_SUSPENDED": (
        "出发地已被暂停参与互认。",
        "The origin region is suspended.",
    ),
    "ADAPTER_UNREACHABLE": (
        "连不上出发地；这不代表健康状态异常。",
        "The origin region cannot be reached; this says nothing about health.",
    ),
    "OVERLOADED": (
        "查询过多，请稍后再试；这不代表健康状态异常。",
        "Too many questions at once, try again shortly; this says nothing about health.",
    ),
    "ADAPTER_MISBEHAVED": (
        "出发地的答复违反协议，未予采信。",
        "The origin's answer broke the protocol and was not used.",
    ),
    "DEADLINE_EXCEEDED": (
        "查询超时；这不代表健康状态异常。",
        "The question timed out; this says nothing about health.",
    ),
    "CANCELLED": ("查询已取消。", "The question was withdrawn."),
    "SHUTTING_DOWN": (
        "服务正在重启，请稍后再试。",
        "The service is restarting; try again shortly.",
    ),
    "ENVELOPE_UNREADABLE": (
        "加密信封无法打开。",
        "The sealed envelope does not open.",
    ),
    "SEALING_KEY_UNKNOWN": (
        "加密所用的密钥已不被使用，请同步后重试。",
        "The envelope's key is no longer held; synchronise and try again.",
    ),
    "QUESTION_STALE": (
        "提问的时间不对，请检查本机时钟。",
        "The question's time is off; check this machine's clock.",
    ),
    "QUESTION_REPLAYED": ("该提问已被使用过。", "The question was asked before."),
    "AUTHORITY_EXISTS": ("该机构已登记。", "The authority already exists."),
    "PREFIX_TAKEN": ("该地区已由其他机构登记。", "Another authority holds the region."),
    "NOT_FOUND": ("没有这项登记。", "There is no such entry in the registry."),
    "WRONG_STATE": ("当前状态不允许此操作。", "The state does not allow this."),
    "SCHEME_INVALID": ("码制文件无法载入。", "The scheme document does not load."),
    "POLICY_INVALID": ("互认政策文件无法载入。", "The policy document does not load."),
    "PAGE_TOKEN_INVALID": ("翻页标记无效。", "The page token is not valid."),
    "IMPORT_NOT_OFFERED": (
        "目的地平台不接受转码，未作转换。",
        "The destination's platform converts no code of another region.",
    ),
    "ATTESTATION_INVALID": (
        "要转换的互认凭证未通过验证，未作转换。",
        "The attestation to convert does not verify; nothing was converted.",
    ),
    "CALL_NOT_APPLIED": (
        "制码或验码的流水号无效、已过期或已使用。",
        "The serial number of this call is unknown, expired or used.",
    ),
    "DECLARATION_MISSING": (
        "尚无有效的健康申报，请先申报。",
        "There is no current declaration; declare first.",
    ),
    "PROXY_NOT_ALLOWED": (
        "没有登记代办关系，不能代为办理。",
        "Nobody is recorded who may act for this person.",
    ),
    "SEQUENCE_AHEAD": ("请求的序号尚未产生。", "The sequence number lies ahead of the feed."),
    "HUB_UNKNOWN": ("此处不提供该枢纽的名录。", "No feed of that hub is served here."),
    "PACK_TOO_LARGE": ("离线包超出所定大小。", "The pack would exceed the size asked for."),
    "PACK_EMPTY": ("该序号之后没有任何变化。", "Nothing has happened since that number."),
    "PACK_BASE_TOO_OLD": (
        "该序号之后的内容已不再保留，请制作完整离线包。",
        "What came after that number is no longer kept; a whole pack can be made.",
    ),
    "LEAD_TIME_TOO_SHORT": (
        "密钥启用过早，各检查点尚未收到。",
        "The key would be used before checkpoints can have received it.",
    ),
    "DISTRUST_INVALID": ("撤信规则不成立。", "The distrust names nothing that can be distrusted."),
    "ROUTE_LOOP": ("枢纽之间的路由成环。", "The route between hubs runs in a loop."),
    "HUB_UNREACHABLE": (
        "本枢纽与该地区的枢纽失去联系，请稍后再试。",
        "The hub of that region cannot be reached from here now; try again later.",
    ),
    "INTERNAL": (
        "服务内部故障；这不代表健康状态异常。",
        "A service failed internally; this says nothing about health.",
    ),
}

_EDGE: Final = {
    "PRESENTATION_MALFORMED": (
        "所出示的内容无法识读，请重新出示。",
        "What was shown cannot be read; show it again.",
    ),
    "PRESENTATION_TOO_LONG": ("所出示的内容过长。", "What was shown is too long."),
    "PRESENTATION_UNRECOGNISED": (
        "认不出这是哪个地区的码。",
        "No region's scheme recognises this code.",
    ),
    "AMBIGUOUS_PRESENTATION": (
        "不止一个地区的码与此相符，请说明来自哪里。",
        "Several regions' schemes recognise this code; say where it is from.",
    ),
    "ORIGIN_REQUIRED": (
        "须说明证件持有人来自哪里。",
        "Say which region the document's holder comes from.",
    ),
    "ORIGIN_NOT_SERVED": ("出发地尚未接入互认。", "The origin region is not connected."),
    "DOCUMENT_INVALID": ("证件号码有误。", "The document number cannot be right."),
}

REFUSALS: Final[dict[str, tuple[str, str]]] = {**_ATTESTATION, **_TRUST, **_EXCHANGE, **_EDGE}
"""Every refusal that has words of its own."""
