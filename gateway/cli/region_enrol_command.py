"""``hutong region enrol``: from a folder to a member, in one command."""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.text import Text

from gateway.cli.region_options import (
    AsJson,
    City,
    HubHttp,
    HubRoots,
    HubTarget,
    door_of,
    lives,
    settings_of,
)
from gateway.cli.terminal import Exit, console, describe, fail, print_json, stderr
from gateway.codes.scheme_model import SchemeError
from gateway.errors import HutongError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import timedelta

    from adapters.sdk.settings import AdapterSettings
    from gateway.cli.adapter_hub import HubDoor
    from gateway.trust.keys import KeyUse

_HERE = Path()
_NEGATIVE: Final = {"AUTHORITY_EXISTS", "PREFIX_TAKEN", "STATEMENT_INVALID", "FEED_SIGNATURE"}


@dataclass
class Step:
    """One line of the checklist.

    Attributes:
        name: what is done.
        note: what came of it.
        sign: ``done``, ``skipped`` or ``failed``.
        seconds: how long it took.
    """

    name: str
    note: str = ""
    sign: str = "done"
    seconds: float = 0.0


@dataclass
class Checklist:
    """What was done, shown as it goes.

    Attributes:
        steps: in order.
    """

    steps: list[Step] = field(default_factory=list)

    @contextmanager
    def step(self, name: str, doing: str) -> Iterator[Step]:
        """Do a step; it is shown when it ends, also when it fails."""
        one = Step(name)
        began = time.monotonic()
        try:
            with stderr.status(f"{doing} …"):
                yield one
        except BaseException:
            one.sign = "failed"
            raise
        finally:
            one.seconds = time.monotonic() - began
            self.steps.append(one)
            _show(one)

    def to_json(self) -> list[dict[str, Any]]:
        """The checklist for scripts."""
        return [
            {"step": one.name, "result": one.sign, "note": one.note}
            | {"seconds": round(one.seconds, 3)}
            for one in self.steps
        ]


def enrol(
    folder: City = _HERE,
    hub: HubTarget = "127.0.0.1:7443",
    http: HubHttp = "https://127.0.0.1:7480",
    ca: HubRoots = None,
    pkcs11: Annotated[
        str | None,
        typer.Option(
            help="Make signing keys in this token: pkcs11:token=T?module-path=M&pin-source=file:F. "
            "Sealing keys stay files."
        ),
    ] = None,
    key_life: Annotated[
        list[str] | None,
        typer.Option(
            "--life",
            metavar="USE=SPAN",
            help="How long a key is good: attest=90d; may be repeated. Default: attest 120d, "
            "seal 365d, state and authenticate 730d.",
        ),
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option(help="Profile of the conformance checks; default: profile.yaml."),
    ] = None,
    checks: Annotated[
        bool, typer.Option("--checks/--no-checks", help="Run the conformance checks.")
    ] = True,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Hand in although a check failed.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the operators.")] = False,
    wait_seconds: Annotated[float, typer.Option(help="Longest wait.")] = 3600.0,
    as_json: AsJson = False,
) -> None:
    r"""Do everything to become a member: keys, linter, checks, proof; then say how far it is.

    Run it again at any time: what is there is kept, and what was handed in is asked for.
    Exit code 1 while the region is not active, or when something is wrong with it.

    Example:
      hutong region enrol shaoxing --hub hub.example:7443 \
      --http https://hub.example:7480 --ca hub-ca.pem --wait
    """
    if not http.startswith("https://"):
        raise typer.BadParameter("the HTTP door has an https address")
    settings = settings_of(folder)
    door = door_of(settings, hub, ca)
    checklist = Checklist()
    found = profile or folder / "profile.yaml"
    plan = EnrolPlan(
        folder=folder,
        settings=settings,
        door=door,
        pkcs11=pkcs11,
        profile=found if checks else None,
        anyway=anyway,
        wait_seconds=wait_seconds if wait else None,
        lives=lives(key_life or ()),
    )
    try:
        enrolled = asyncio.run(enrol_region(plan, checklist))
    except SchemeError as error:
        first = error.problems[0] if error.problems else None
        fail(
            f"{first.message if first else error} [{error.code}]",
            fix=f"see it all: hutong scheme lint {settings.scheme}",
            code=Exit.NEGATIVE,
        )
    except HutongError as error:
        from gateway.cli.adapter import _FIXES

        fail(
            describe(error),
            fix=error.fix or _FIXES.get(error.code),
            code=Exit.NEGATIVE if error.code in _NEGATIVE else Exit.COULD_NOT_RUN,
        )
    if enrolled is None:
        if as_json:
            print_json({"state": "NOT_ENROLLED", "steps": checklist.to_json()})
        raise typer.Exit(Exit.NEGATIVE)
    if as_json:
        print_json(enrolled | {"steps": checklist.to_json()})
    else:
        _show_enrolled(enrolled)
    if enrolled["state"] != "ACTIVE":
        raise typer.Exit(Exit.NEGATIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolPlan:
    """What is wanted.

    Attributes:
        folder: of the region.
        settings: of the region.
        door: of the hub.
        pkcs11: token for signing keys; None: files.
        profile: of the conformance checks; None: they are not run.
        anyway: hand in although a check failed.
        wait_seconds: longest wait for operators; None: none.
        lives: how long a key of each use is good.
    """

    folder: Path
    settings: AdapterSettings
    door: HubDoor
    pkcs11: str | None
    profile: Path | None
    anyway: bool
    wait_seconds: float | None
    lives: Mapping[KeyUse, timedelta] = field(default_factory=lambda: lives(()))


async def enrol_region(plan: EnrolPlan, checklist: Checklist) -> dict[str, Any] | None:
    """Do every step; return how far the enrolment is, None: something speaks against it.

    Raises:
        HutongError: something cannot be read or made, or the hub refuses.
    """
    from gateway.cli.adapter_hub import ENROLMENT_FILE, enrol_folder
    from gateway.cli.region_enrol import lint, make_missing, run_checks
    from gateway.trust import parse_anchor
    from gateway.trust.findings import Weight
    from gateway.wire.channel import open_channel
    from gateway.wire.enrolment import check_hub

    settings, door = plan.settings, plan.door
    report = b""
    if not (plan.folder / ENROLMENT_FILE).exists():
        with checklist.step("keys", "making keys") as step:
            made = make_missing(settings, pkcs11=_absolute(plan.pkcs11), now=datetime.now(UTC))
            step.note = f"made {', '.join(path.name for path in made)}" if made else "all there"
        with checklist.step("scheme, vectors, policy", "looking at them") as step:
            findings = lint(settings, now=datetime.now(UTC), lives=plan.lives)
            errors = [item for item in findings if item.weight is Weight.ERROR]
            step.sign = "failed" if errors else "done"
            step.note = (
                f"{len(errors)} errors, {len(findings) - len(errors)} warnings"
                if findings
                else "nothing to remark"
            )
        for item in findings:
            colour = "red" if item.weight is Weight.ERROR else "yellow"
            stderr.print(
                Text.assemble("    ", (item.name.value, colour), f" {item.message}"),
                soft_wrap=True,
            )
        if errors:
            return None
        with checklist.step("hub", "asking the hub who it is") as step:
            anchor = parse_anchor(door.anchor)
            async with open_channel(door.target, ca_pem=door.ca_pem) as channel:
                await check_hub(channel, anchor)
            step.note = f"{anchor.hub}, by its trust anchor"
        with checklist.step("conformance", "running the checks of an adapter") as step:
            if plan.profile is None or not plan.profile.exists():
                step.sign = "skipped"
                why = "--no-checks" if plan.profile is None else f"there is no {plan.profile}"
                step.note = f"{why}: the operators see no report"
            else:
                with tempfile.TemporaryDirectory() as place:
                    result = await run_checks(settings, plan.profile, Path(place))
                report = result.document
                step.note = f"{result.passed} passed, {len(result.failed)} failed"
                if result.failed:
                    step.sign = "failed"
                    step.note += f": {' '.join(result.failed)}"
        if step.sign == "failed" and not plan.anyway:
            stderr.print("  fix: hutong-conformance explain ID; or hand it in with --anyway")
            return None
    with checklist.step("enrolment", "proving possession of every key") as step:
        enrolled = await enrol_folder(
            plan.folder,
            settings,
            door,
            wait_seconds=plan.wait_seconds,
            report=report,
            lives=plan.lives,
        )
        step.note = _progress(enrolled)
    return enrolled


def _progress(enrolled: dict[str, Any]) -> str:
    left = enrolled["approvals_left"]
    if enrolled["state"] == "PENDING" and left:
        return f"PENDING: needs {left} more operator{'s' if left > 1 else ''}"
    return str(enrolled["state"])


def _show_enrolled(enrolled: dict[str, Any]) -> None:
    console.print(f"{enrolled['urn']}: {_progress(enrolled)}", soft_wrap=True)
    if enrolled["state"] != "ACTIVE":
        stderr.print(
            "Read the operators the key id by telephone: [bold]hutong hub approve "
            f"{enrolled['urn']} --key {enrolled['key_id']}[/bold]",
            soft_wrap=True,
        )


def _show(one: Step) -> None:
    signs = {"done": ("✓ ", "green"), "skipped": ("– ", "yellow"), "failed": ("✗ ", "bold red")}
    stderr.print(
        Text.assemble(
            signs[one.sign], (f"{one.name:24}", "bold"), one.note, (f"  {one.seconds:.1f} s", "dim")
        ),
        soft_wrap=True,
    )


def _absolute(pkcs11: str | None) -> str | None:
    """The PIN's file from where the command is run; a key file names it from its own folder."""
    mark = "pin-source=file:"
    if pkcs11 is None or mark not in pkcs11:
        return pkcs11
    before, _, after = pkcs11.partition(mark)
    name, sign, rest = after.partition("&")
    return f"{before}{mark}{Path(name).absolute()}{sign}{rest}"
