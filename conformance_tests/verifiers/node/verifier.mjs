// A verifier of Hutong attestations in another language, written from docs/spec alone.
//
// Speaks the protocol of docs/spec/verifier.md. Signatures are jose's, the rest stands here.
import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';
import { inflateSync } from 'node:zlib';
import { calculateJwkThumbprint, compactVerify, importJWK } from 'jose';

const LEEWAY = 60; // HT-ATT-6, seconds
const MAX_TOKEN = 8192; // HT-ATT-9, bytes
const LIFE = { online: 600, import: 600, carried: 86400 }; // HT-ATT-7, seconds
const LEVELS = ['RED', 'RESTRICTED', 'YELLOW', 'GREEN']; // HT-CODE-6
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n; // of P-256, SEC 2
const ZERO = Buffer.alloc(32).toString('base64url');
const KNOWN = new Set(['authority', 'scheme', 'policy', 'distrust', 'status', 'rehearsal', 'notice', 'superior']);
const MARK = ['iss', 'seq', 'digest', 'iat'];
const FEED = { entry: ['iss', 'seq', 'prev', 'iat', 'kind', 'subject', 'body'], head: MARK, manifest: [...MARK, 'count', 'entries', 'floor', 'tombstones'] };
const REPORT = 'level scheme state assessed_at source_at issued_by'.split(' ');
const REPORT_MAY = 'basis valid_until declared_at declaration_valid_until release area declarations rule negative_test_at also'.split(' ');
const [CLAIMS, CLAIMS_MAY] = ['iss aud iat nbf exp jti sub use code', 'nonce bound status serial'].map((names) => names.split(' '));
class Refused extends Error {}
const refuse = (reason) => { throw new Refused(reason); };
const need = (holds, reason) => holds || refuse(reason);

// -- bytes and JSON
const sha256 = (data) => createHash('sha256').update(data).digest('base64url');
const listed = (entries) => sha256(Buffer.concat(entries.map((each) => Buffer.from(each.digest, 'base64url'))));
const only = (value, must, may = []) =>
  must.every((name) => name in value) && Object.keys(value).every((name) => must.includes(name) || may.includes(name));
const whole = (value) => Number.isSafeInteger(value) && value >= 0;
function decode(text, data = Buffer.from(text, 'base64url')) {
  if (data.toString('base64url') === text) return data;
  throw new SyntaxError('not canonical base64url');
}
/** Parse JSON; `doubled` is thrown where a member stands twice. */
function parse(data, doubled) {
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data);
  const value = JSON.parse(text);
  if (value === null || typeof value !== 'object') throw new SyntaxError();
  const open = [];
  // A text before a colon is a member's name; it belongs to the innermost bracket.
  for (const [token, colon] of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/g)) {
    if ('{['.includes(token)) open.push(new Set());
    else if ('}]'.includes(token)) open.pop();
    else if (colon) {
      const [names, name] = [open.at(-1), JSON.parse(token.slice(0, -colon.length))];
      need(!names.has(name) && names.add(name), doubled);
    }
  }
  return value;
}

// -- signatures
const keys = new Map();
const algorithm = (jwk) => (jwk.kty === 'OKP' ? 'Ed25519' : 'ES256');
async function signed(token, jwk, reason) {
  const id = JSON.stringify(jwk);
  const { kty, crv, x, y } = jwk;
  if (!keys.has(id)) keys.set(id, await importJWK({ kty, crv, x, y }, algorithm(jwk)));
  await compactVerify(token, keys.get(id), { algorithms: [algorithm(jwk)] }).catch(() => refuse(reason));
}
/** Header and claims; the reasons are those of a token that is none, and of doubled members. */
function segments(token, malformed, doubledHeader, doubledClaims) {
  try {
    const [head, payload, signature, ...more] = token.split('.');
    need(more.length === 0 && decode(signature), malformed);
    return [parse(decode(head), doubledHeader), parse(decode(payload), doubledClaims)];
  } catch (error) {
    return refuse(error instanceof Refused ? error.message : malformed);
  }
}
/** A token whose every fault is told in one way: those of the feed, of lists, of statements. */
async function read(token, typ, find, malformed, unsigned) {
  const [header, claims] = segments(token, malformed, malformed, malformed);
  need(only(header, ['alg', 'kid', 'typ']) && header.typ === typ, malformed);
  const jwk = find(header.kid, claims);
  need(jwk && algorithm(jwk) === header.alg, unsigned);
  await signed(token, jwk, unsigned);
  return claims;
}

// -- the feed (docs/spec/feed.md)
const keyOf = (holder, use, kid) => holder?.keys.find((key) => key.use === use && key.jwk.kid === kid);
const place = (entry) => `${entry.kind} ${entry.subject}`;
const withdrawn = (entry) => only(entry.body, ['withdrawn']);
const inForce = (state) => [...state.newest.values()].filter((entry) => !withdrawn(entry)).sort((a, b) => a.seq - b.seq);
const body = ({ newest }, kind, subject, found = newest.get(`${kind} ${subject}`)) => (found && !withdrawn(found) ? found.body : undefined);
async function mark(token, name, anchor, now) {
  const claims = await read(token, `hutong-feed-${name}+jwt`, (kid) => keyOf(anchor, 'feed', kid)?.jwk, 'FEED_MALFORMED', 'FEED_SIGNATURE');
  need(only(claims, FEED[name]) && whole(claims.seq) && whole(claims.iat), 'FEED_MALFORMED');
  need(claims.iss === anchor.hub, 'FEED_SIGNATURE');
  need(claims.iat <= now + LEEWAY, 'FEED_FROM_FUTURE');
  return claims;
}
const entry = async (token, anchor, now) =>
  ({ ...(await mark(token, 'entry', anchor, now)), token, digest: sha256(token) });
/** The state with its newest entry in that spelling of its signature that the hub named (HT-FEED-21). */
function spelled(state, named) {
  const held = [...state.newest.values()].find(({ seq }) => seq === state.seq);
  if (!held || !named || named === state.digest) return state;
  const [start, raw] = [held.token.slice(0, -86), decode(held.token.slice(-86))];
  const s = (ORDER - BigInt(`0x${raw.toString('hex', 32)}`)).toString(16).padStart(64, '0');
  const token = start + Buffer.concat([raw.subarray(0, 32), Buffer.from(s, 'hex')]).toString('base64url');
  const newest = new Map(state.newest).set(place(held), { ...held, token, digest: named });
  return sha256(token) === named ? { ...state, digest: named, newest } : state;
}
async function step(state, given, anchor, now) {
  if (given.snapshot) return snapshot(state, given.snapshot, anchor, now);
  if (given.head) {
    const head = await mark(given.head, 'head', anchor, now);
    need(head.seq === state.seq, head.seq < state.seq ? 'FEED_ROLLED_BACK' : 'FEED_GAP');
    const named = spelled(state, head.digest);
    need(head.digest === named.digest, 'FEED_FORK');
    return { ...named, asOf: Math.max(state.asOf, head.iat) };
  }
  for (const token of given.entries) state = await next(state, await entry(token, anchor, now));
  return state;
}
async function next(state, found) {
  if (found.seq === state.seq && found.digest === spelled(state, found.digest).digest) return state;
  const other = found.seq === state.seq || [...state.newest.values()].some((held) => held.seq === found.seq && held.digest !== found.digest);
  need(found.seq > state.seq, other ? 'FEED_FORK' : 'FEED_ROLLED_BACK');
  need(found.seq === state.seq + 1, 'FEED_GAP');
  need(found.iat >= (state.iat ?? 0), 'FEED_MALFORMED');
  state = spelled(state, found.prev);
  need(found.prev === state.digest, 'FEED_FORK');
  const newest = new Map(state.newest).set(place(found), found);
  await check(found, newest, state.newest);
  return { seq: found.seq, digest: found.digest, iat: found.iat, asOf: Math.max(state.asOf, found.iat), newest };
}
async function snapshot(held, given, anchor, now) {
  const manifest = await mark(given.manifest, 'manifest', anchor, now);
  need(manifest.seq >= held.seq, 'FEED_ROLLED_BACK');
  const entries = await Promise.all(given.entries.map((token) => entry(token, anchor, now)));
  const newest = new Map(entries.map((each) => [place(each), each]));
  const state = { seq: manifest.seq, digest: manifest.digest, iat: entries.at(-1)?.iat, asOf: Math.max(held.asOf, manifest.iat), newest };
  const live = inForce({ newest });
  need(newest.size === entries.length && entries.every((each, i) => i === 0 || (entries[i - 1].seq < each.seq && entries[i - 1].iat <= each.iat)), 'FEED_MALFORMED');
  need(manifest.count === live.length && manifest.entries === listed(live), 'FEED_MALFORMED');
  need(manifest.tombstones === listed(entries.filter(withdrawn)), 'FEED_MALFORMED');
  const end = entries.at(-1);
  need(end ? end.seq === manifest.seq && end.digest === manifest.digest : manifest.seq === 0, 'FEED_MALFORMED');
  held = spelled(held, entries.find(({ seq }) => seq === held.seq)?.digest ?? entries.find(({ seq }) => seq === held.seq + 1)?.prev);
  // Two histories never mix; what is gone without a newer word was forgotten below the floor.
  for (const [name, before] of held.newest) {
    const after = newest.get(name);
    if (after) need(after.digest === before.digest || after.seq > held.seq, 'FEED_FORK');
    else need(withdrawn(before) || held.seq < manifest.floor, 'FEED_FORK');
  }
  for (const [name, after] of newest) need(held.newest.has(name) || after.seq > held.seq, 'FEED_FORK');
  entries.sort((a, b) => (b.kind === 'authority') - (a.kind === 'authority'));
  for (const each of entries) await check(each, newest, held.newest);
  return state;
}
/** What the region's statement said that an entry supersedes. */
const said = (newest, { kind, subject }, { statement } = body({ newest }, kind, subject) ?? {}) => statement && parse(decode(statement.split('.')[1]));
async function check(found, newest, before) {
  if (!KNOWN.has(found.kind)) return need(found.body.critical !== true, 'FEED_UNSUPPORTED');
  if (withdrawn(found)) return true;
  if (found.kind === 'authority') {
    const { urn, prefixes, keys: published, state } = found.body;
    need(urn === found.subject, 'FEED_MALFORMED');
    for (const { jwk } of published) need(jwk.kid === (await calculateJwkThumbprint(jwk, 'sha256')), 'FEED_MALFORMED');
    const rival = ({ kind, subject, body: theirs }) => kind === 'authority' && subject !== urn && state === 'active'
      && theirs.state === 'active' && theirs.prefixes.some((prefix) => prefixes.includes(prefix));
    need(![...newest.values()].some(rival), 'FEED_MALFORMED');
  } else if (found.kind === 'scheme' || found.kind === 'policy') {
    need(only(found.body, ['statement']), 'FEED_MALFORMED');
    const authority = (claims) => body({ newest }, 'authority', claims.iss);
    const find = (kid, claims) => keyOf(authority(claims), 'state', kid)?.jwk;
    const claims = await read(found.body.statement, 'hutong-statement+jwt', find, 'FEED_MALFORMED', 'FEED_MALFORMED');
    const speaks = [claims.body.region ?? claims.body.prefixes ?? []].flat();
    const inside = (code) => authority(claims).prefixes.some((prefix) => code.startsWith(prefix));
    need(authority(claims).kinds?.includes(found.kind) ?? true, 'FEED_MALFORMED');
    need(claims.kind === found.kind && found.subject.startsWith(`${claims.iss}#`) && speaks.every(inside), 'FEED_MALFORMED');
    need(claims.iat >= (said(before, found)?.iat ?? 0), 'FEED_ROLLED_BACK');
  } else if (found.kind === 'status') {
    const find = (kid, { iss }) => keyOf(body({ newest }, 'authority', iss), 'attest', kid)?.jwk;
    const word = await read(found.body.statement, 'hutong-status+jwt', find, 'FEED_MALFORMED', 'FEED_MALFORMED');
    need(word.uri === found.subject && Object.entries(word.changes).every(([value, indices]) => fits(word.base, value, indices)), 'FEED_MALFORMED');
    need(word.seq >= (said(before, found)?.seq ?? 0), 'FEED_ROLLED_BACK');
  }
  return true;
}
const fits = ({ size, bits }, value, indices) => /^(0|[1-9]\d*)$/.test(value) && value < 1 << bits && indices.length > 0
  && indices.every((index, i) => whole(index) && index < size && (i === 0 || indices[i - 1] < index));

// -- the attestation (docs/spec/attestation.md)
const shortest = (digits) => digits.replace(/^((?:\d\d)*?)(?:00)*$/, '$1');
const prefixOf = (urn) => shortest(/^urn:hutong:region:(\d{6}|\d{4}|\d{2})$/.exec(urn)?.[1] ?? '');
const reports = (code) => [code, ...(code.also ?? [])];
function checkClaims(claims) {
  const bad = 'CLAIMS_INVALID';
  const { iat, nbf, exp, use, code, status } = claims;
  need(only(claims, CLAIMS, CLAIMS_MAY) && [iat, nbf, exp].every(whole) && iat <= nbf && nbf < exp, bad);
  need(/^urn:hutong:region:\d{6}$/.test(claims.iss) && prefixOf(claims.aud) !== '' && use in LIFE, bad);
  need('nonce' in claims === (use === 'online') && (!('bound' in claims) || use === 'import'), bad);
  need((!('nonce' in claims) || decode(claims.nonce).length === 16) && (!('serial' in claims) || whole(claims.serial)), bad);
  if ('status' in claims) {
    need(use === 'carried' && only(status, ['status_list']) && only(status.status_list, ['idx', 'uri']), bad);
    need(whole(status.status_list.idx) && typeof status.status_list.uri === 'string', bad);
  }
  need(exp - iat <= LIFE[use], 'LIFETIME_TOO_LONG');
  for (const report of reports(code)) {
    const rank = LEVELS.indexOf(report.level);
    need(only(report, REPORT, REPORT_MAY) && rank >= 0 && LEVELS.indexOf(code.level) <= rank, bad);
    need(exp <= (report.valid_until ?? exp), 'LIFETIME_TOO_LONG');
  }
}
function checkKey(key, iat) { // In use when it signed: whether it still is does not matter.
  need(key.revoked_at === undefined, 'KEY_REVOKED');
  need(iat < (key.tainted_from ?? Infinity), 'KEY_TAINTED');
  return need(key.not_before - LEEWAY <= iat && iat < (key.not_after ?? Infinity) + LEEWAY, 'KEY_NOT_VALID_NOW');
}
function touches(rule, claims, kid) {
  const [all, prefix, area] = [reports(claims.code), rule.prefix ?? '', (report) => report.area ?? report.issued_by];
  const span = rule.signed_from <= claims.iat && claims.iat < (rule.signed_until ?? Infinity);
  return span && rule.issuer === claims.iss && ['attestation', undefined].includes(rule.kind) && (rule.key_id ?? kid) === kid
    && all.some((report) => area(report).startsWith(prefix) || prefix.startsWith(shortest(area(report))))
    && (rule.scheme === undefined || all.some((report) => report.scheme === rule.scheme))
    && !(claims.serial < rule.first_serial || claims.serial > rule.last_serial);
}

async function verify(request, state) {
  const { token, audience, nonce, now } = request;
  need(token.length <= MAX_TOKEN, 'ATTESTATION_TOO_LARGE');
  const [header, claims] = segments(token, 'ATTESTATION_MALFORMED', 'ATTESTATION_HEADER', 'CLAIMS_INVALID');
  need(only(header, ['alg', 'kid', 'typ']) && header.typ === 'hutong-attestation+jwt', 'ATTESTATION_HEADER');
  need(header.alg === 'ES256' || header.alg === 'Ed25519', 'ATTESTATION_ALGORITHM');
  const [, wrong] = await attempt(() => checkClaims(claims), 'CLAIMS_INVALID');
  need(wrong === null, wrong);
  const authority = body(state, 'authority', claims.iss) ?? refuse('KEY_UNKNOWN');
  need(authority.state === 'active', authority.state === 'suspended' ? 'AUTHORITY_SUSPENDED' : 'AUTHORITY_WITHDRAWN');
  const key = keyOf(authority, 'attest', header.kid) ?? refuse('KEY_UNKNOWN');
  need(algorithm(key.jwk) === header.alg, 'ATTESTATION_ALGORITHM');
  checkKey(key, claims.iat);
  await signed(token, key.jwk, 'SIGNATURE_INVALID');
  need(authority.kinds?.includes('attestation') ?? true, 'CONSTRAINT_EXCEEDED');
  const own = (code) => authority.prefixes.some((prefix) => code.startsWith(prefix));
  need(own(claims.iss.slice(-6)) && reports(claims.code).every((report) => own(report.issued_by)), 'ISSUER_NOT_ALLOWED');
  need(claims.exp - claims.iat <= authority.max_attestation_seconds, 'LIFETIME_TOO_LONG');
  need(now < claims.exp + LEEWAY, 'ATTESTATION_EXPIRED');
  need(now >= claims.nbf - LEEWAY, 'ATTESTATION_NOT_YET_VALID');
  need(audience.slice(-6).startsWith(prefixOf(claims.aud)), 'AUDIENCE_MISMATCH');
  need(nonce === undefined ? claims.use === 'carried' : claims.nonce === nonce, 'ATTESTATION_REPLAYED');
  const distrusts = inForce(state).filter(({ kind }) => kind === 'distrust');
  need(!distrusts.some((found) => touches(found.body.rule, claims, header.kid)), 'ATTESTATION_DISTRUSTED');
  if (claims.status) await checkStatus(claims, request, state);
  return claims;
}

// -- status (docs/spec/status.md)
const invalid = 'STATUS_LIST_INVALID';
async function checkStatus(claims, request, state) {
  const { uri, idx } = claims.status.status_list;
  const statement = body(state, 'status', uri)?.statement ?? refuse('STATUS_UNKNOWN');
  const find = (kid, said) => {
    const key = said.iss === claims.iss && said.iat <= request.now + LEEWAY && keyOf(body(state, 'authority', said.iss), 'attest', kid);
    return key ? checkKey(key, said.iat) && key.jwk : undefined;
  };
  const change = await read(statement, 'hutong-status+jwt', find, invalid, invalid);
  need(change.uri === uri && uri.startsWith(`urn:hutong:status:${claims.iss.slice(-6)}:`), invalid);
  const values = Object.keys(change.changes).filter((value) => change.changes[value].includes(idx));
  const value = values.length ? Number(values[0]) : await inBase(change, request, idx, find);
  need(value === 0, value === 2 ? 'ATTESTATION_ON_HOLD' : 'ATTESTATION_REVOKED');
}
async function inBase(change, request, idx, find) {
  const { digest, size, bits } = change.base;
  const token = request.lists?.find((each) => sha256(each) === digest) ?? refuse('STATUS_UNKNOWN');
  const list = await read(token, 'statuslist+jwt', find, invalid, invalid);
  need(list.sub === change.uri && request.now < list.exp + LEEWAY && list.status_list.bits === bits && idx < size, invalid);
  const [data] = await attempt(() => inflateSync(decode(list.status_list.lst), { maxOutputLength: (size * bits) / 8 }));
  need(data?.length === (size * bits) / 8, invalid);
  return (data[Math.floor((idx * bits) / 8)] >> ((idx * bits) % 8)) & ((1 << bits) - 1);
}

// -- the harness
async function attempt(work, otherwise) {
  try { return [await work(), null]; }
  catch (error) { return [undefined, error instanceof Refused ? error.message : otherwise]; }
}
for await (const line of createInterface({ input: process.stdin })) {
  let [request, state] = [JSON.parse(line), { seq: 0, digest: ZERO, asOf: 0, newest: new Map() }];
  const answers = [];
  for (const each of [{}, ...(request.later ?? [])]) {
    const feed = [];
    request = { ...request, ...each };
    for (const given of request.feed) {
      const [after, reason] = await attempt(() => step(state, given, request.anchor, request.now), 'FEED_MALFORMED');
      state = after ?? state;
      feed.push(reason);
    }
    const [claims, reason] = await attempt(() => request.token && verify(request, state), 'ATTESTATION_MALFORMED');
    const found = claims ? { ok: true, level: claims.code.level, issuer: claims.iss } : reason ? { ok: false, reason } : { ok: true };
    answers.push({ feed, sequence: state.seq, live: listed(inForce(state)), as_of: state.asOf, ...found });
  }
  const [first, ...later] = answers;
  process.stdout.write(`${JSON.stringify({ id: request.id, ...first, ...(request.later && { later }) })}\n`);
}
