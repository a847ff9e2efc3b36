"""What ``hutong region enrol`` does, step by step; every step can be done again.

The conformance checks run against a copy of the adapter on a free port of this machine:
the same scheme, keys and platform, but it trusts the throwaway keys of the suite in
place of the hub's. The suite is a program of its own, so that it judges by what comes
over the wire and by nothing else.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from adapters.sdk import enrolment
from adapters.sdk.city import load_city
from adapters.sdk.errors import AdapterConfigError
from adapters.sdk.keys import (
    key_files,
    load_keys,
    seal_files,
    write_pseudonym_secret,
)
from adapters.sdk.server import load_adapter
from gateway.attestation.keys import generate_signing_key, public_jwk, signing_key_to_jwk
from gateway.attestation.sealing_keys import (
    generate_sealing_key,
    public_sealing_jwk,
    sealing_key_to_jwk,
)
from gateway.cli.adapter_hub import checked_policy
from gateway.codes import region_urn
from gateway.recognition import load_policy
from gateway.trust import StatementKind, sign_statement
from gateway.trust.key_life import KEY_LIVES
from gateway.trust.linter import Finding, lint_statement
from gateway.wire.certificates import self_signed
from gateway.wire.files import FileError, refused_as
from gateway.wire.pkcs11_keys import MEMBER, make_signing_key, open_signing_key, parse_uri
from gateway.wire.private_files import write_private, write_private_jwk

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from adapters.sdk.settings import AdapterSettings
    from gateway.trust.keys import KeyUse

PROFILE_FILE: Final = "profile.yaml"
SUITE_SECONDS: Final = 600.0
"""Longest the whole suite takes at a slow platform."""
_SIGNING: Final = ("state", "attest", "authenticate")
_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Report:
    """What the conformance suite said.

    Attributes:
        document: as it is handed in.
        passed: checks that passed.
        failed: checks that failed, by id.
    """

    document: bytes
    passed: int
    failed: tuple[str, ...]


def make_missing(settings: AdapterSettings, *, pkcs11: str | None, now: datetime) -> list[Path]:
    """Make every secret that a region needs and that is not there; return what was made.

    Args:
        settings: of the region.
        pkcs11: URI of a token without an object: signing keys are made there; None: in
            files. Sealing keys are in files always: no module opens what is sealed
            by HPKE, and the pseudonym secret has no key type there.
        now: the clock.

    Raises:
        AdapterConfigError: something cannot be made or written.
    """
    folder, made = settings.keys, []
    with refused_as(AdapterConfigError):
        for slot in _SIGNING:
            if key_files(folder, slot):
                continue
            path = folder / f"{slot}.json"
            if pkcs11 is None:
                write_private_jwk(path, signing_key_to_jwk(generate_signing_key()))
            else:
                uri = object_uri(pkcs11, slot)
                _in_module(uri, folder)
                write_private_jwk(path, {MEMBER: uri})
            made.append(path)
        if not any(path.exists() for path in seal_files(folder)):
            path = folder / "seal.json"
            write_private_jwk(path, sealing_key_to_jwk(generate_sealing_key()))
            made.append(path)
        secret = write_pseudonym_secret(folder)
        if secret is not None:
            made.append(secret)
        made += _certificate(settings, now)
    return made


def object_uri(token: str, slot: str) -> str:
    """Name an object in the token that a URI names.

    Raises:
        FileError: the URI names no token, or names an object itself.
    """
    path, mark, query = token.partition("?")
    uri = f"{path};object={slot}{mark}{query}"
    parse_uri(uri)
    return uri


def lint(
    settings: AdapterSettings,
    *,
    now: datetime,
    lives: Mapping[KeyUse, timedelta] = KEY_LIVES,
) -> tuple[Finding, ...]:
    """Look at what would be handed in as the hub will, errors first.

    Args:
        settings: of the region.
        now: the clock.
        lives: how long a key of each use is good.

    Raises:
        SchemeError: the scheme does not load, or a vector fails.
        AdapterConfigError: something cannot be read, or the policy does not load.
    """
    scheme = load_city(settings.scheme)
    keys = load_keys(settings.keys, now=now)
    body = enrolment.city_identity(settings, keys, scheme, now=now, lives=lives).body
    documents: list[tuple[StatementKind, Mapping[str, Any]]] = [
        (StatementKind.ENROLMENT, body.to_body()),
        (StatementKind.SCHEME, scheme.to_document()),
    ]
    if settings.policy is not None:
        documents.append((StatementKind.POLICY, checked_policy(settings)))
    found: list[Finding] = []
    for kind, document in documents:
        token = sign_statement(kind, body.urn, dict(document), keys.state, now=now)
        record = None if kind is StatementKind.ENROLMENT else body
        found += lint_statement(token, now=now, record=record, check_policy=load_policy)
    return tuple(found)


async def run_checks(settings: AdapterSettings, profile: Path, folder: Path) -> Report:
    """Run the conformance checks of an adapter against a private copy of it.

    Args:
        settings: of the region.
        profile: what it offers, and synthetic people.
        folder: an empty one of its own, for throwaway keys.

    Raises:
        HutongError: the adapter does not start, or the suite cannot run.
    """
    await _suite("keys", "--dir", str(folder))
    issued = self_signed([_LOOPBACK, "localhost"], now=datetime.now(UTC))
    for name, data in (("copy.pem", issued.certificate_pem), ("copy-key.pem", issued.key_pem)):
        write_private(folder / name, data)
    copy = settings.model_copy(
        update={
            "anchor": folder / "anchor.json",
            "hub": None,
            "status": settings.status.model_copy(update={"path": folder / "issued.db"}),
            "grpc": settings.grpc.model_copy(
                update={
                    "host": _LOOPBACK,
                    "port": 0,
                    "certificate": folder / "copy.pem",
                    "key": folder / "copy-key.pem",
                    "unsafe_insecure": False,
                    "drain_seconds": 0.0,
                }
            ),
        }
    )
    written = _profile(settings, profile, folder)
    adapter = load_adapter(copy)
    port = await adapter.start()
    try:
        output = await _suite(
            *("run", "--role", "adapter", "--profile", str(written)),
            *("--target", f"{_LOOPBACK}:{port}", "--json"),
        )
    finally:
        await adapter.stop()
    return _read_report(output)


def _profile(settings: AdapterSettings, profile: Path, folder: Path) -> Path:
    """The profile with the copy's keys and certificate in place of what it names."""
    try:
        entries = yaml.safe_load(profile.read_bytes())
    except (OSError, yaml.YAMLError):
        entries = None
    if not isinstance(entries, dict):
        raise AdapterConfigError(f"{profile} cannot be read as a profile")
    keys = load_keys(settings.keys)
    public = {f"seal-{place}.jwk": public_sealing_jwk(key) for place, key in enumerate(keys.seal)}
    for name, jwk in {"attest.jwk": public_jwk(keys.attest), **public}.items():
        (folder / name).write_text(json.dumps(jwk), "utf-8")
    hub = json.loads((folder / "anchor.json").read_bytes())["hub"]
    urn = region_urn(load_city(settings.scheme).authority)
    caller = {"urn": "urn:hutong:checkpoint:440100:suite", "region": "440100"}
    # Conversion needs a feed that this copy does not follow: checked by hand only.
    capabilities = [c for c in entries.get("capabilities") or [] if not str(c).startswith("import")]
    entries |= {
        "role": "adapter",
        "authority": urn,
        "ca": "copy.pem",
        "hub": {"urn": hub, "token_key": "suite-token.jwk"},
        "caller": entries.get("caller") or caller,
        "seal": list(public),
        "attest": ["attest.jwk"],
        "capabilities": capabilities,
    }
    entries.pop("import", None)
    written = folder / PROFILE_FILE
    written.write_text(yaml.safe_dump(entries, allow_unicode=True), "utf-8")
    return written


async def _suite(*words: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "conformance_tests", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SUITE_SECONDS):
            out, err = await process.communicate()
    except TimeoutError:
        raise AdapterConfigError("the conformance checks take too long") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode not in (0, 1):
        said = err.decode("utf-8", "replace").strip().splitlines()
        raise AdapterConfigError(
            f"the conformance checks could not run: {said[-1] if said else 'no word of it'}",
            fix="see docs/guides/check-an-implementation.md for what a profile holds",
        )
    return out


def _read_report(output: bytes) -> Report:
    try:
        report = json.loads(output)
        failed = tuple(
            str(item["id"]) for item in report["results"] if item["status"] in ("fail", "void")
        )
        passed = int(report["counts"].get("pass", 0))
    except (ValueError, KeyError, TypeError):
        raise AdapterConfigError("the conformance suite wrote no report") from None
    document = json.dumps(report, ensure_ascii=False, separators=(",", ":")).encode()
    return Report(document, passed, failed)


def _in_module(uri: str, folder: Path) -> None:
    """Make a key pair in a module; one that a run which was stopped left there is taken."""
    place = parse_uri(uri)
    try:
        make_signing_key(place, folder)
    except FileError as refused:
        try:
            open_signing_key(place, folder)
        except FileError:
            raise refused from None


def _certificate(settings: AdapterSettings, now: datetime) -> list[Path]:
    grpc = settings.grpc
    if grpc.unsafe_insecure or grpc.certificate.exists() or grpc.key.exists():
        return []
    named = (grpc.endpoint or "").rpartition(":")[0].strip("[]")
    hosts = tuple(dict.fromkeys(filter(None, (named, _LOOPBACK, "localhost"))))
    try:
        issued = self_signed(hosts, now=now)
    except ValueError:
        raise AdapterConfigError(
            "the host of grpc.endpoint cannot stand in a certificate"
        ) from None
    write_private(grpc.certificate, issued.certificate_pem)
    write_private(grpc.key, issued.key_pem)
    return [grpc.certificate, grpc.key]
