"""``hutong-conformance``: list, explain, run, coverage, keys, vectors, peer, selftest.

Exit codes: 0 conformant, 1 not, 2 could not run, 64 wrong command line.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from conformance_tests import crypto, report
from conformance_tests.bench import open_bench
from conformance_tests.model import Case, Exit, Result, Role
from conformance_tests.peer.common import private_members, write_json
from conformance_tests.peer.serve import serve_peer
from conformance_tests.peer.verifier import speak
from conformance_tests.profile import (
    DISPOSABLE,
    ProfileError,
    load_profile,
    with_also,
    with_disposable,
    without_disposable,
)
from conformance_tests.registry import (
    coverage_gaps,
    load_cases,
    load_faults,
    load_requirements,
)
from conformance_tests.runner import run_cases
from conformance_tests.selftest import Proof, prove_all
from conformance_tests.vectors.writing import write_vectors

if TYPE_CHECKING:
    from collections.abc import Mapping

# The option parser leaves with 2 for a wrong command line, which here means that
# the suite could not run; its own class is the one place to say otherwise.
typer.BadParameter.__bases__[0].exit_code = Exit.USAGE  # type: ignore[attr-defined]  # a class of the option parser

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Check that an adapter, a hub or an issuer keeps the Hutong specification.\n\n"
    "Try it on a peer of its own: [bold]hutong-conformance peer --role adapter --dir /tmp/peer[/] "
    "in one terminal, [bold]hutong-conformance run --role adapter --profile "
    "/tmp/peer/profile.yaml[/] in another.",
)
_WRITES = (
    "what is asked for writes to the hub under test: the suite enrols members there, approves, "
    "revokes and withdraws them, and their history stays in its feed for good; for a hub that "
    "may be thrown away, add --disposable"
)
_out = Console()
_err = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
AnyRole = Annotated[Role | None, typer.Option("--role", help="Only this role.")]


def _fail(message: str) -> NoReturn:
    _err.print(f"[bold red]error:[/] {message}", soft_wrap=True)
    raise typer.Exit(Exit.COULD_NOT_RUN)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False))


@app.command("list")
def list_checks(role: AnyRole = None, as_json: AsJson = False) -> None:
    """List the checks.

    Example: hutong-conformance list --role hub
    """
    cases = load_cases(role)
    if as_json:
        _print_json(
            [{"id": c.id, "title": c.title, "requirements": list(c.requirements)} for c in cases]
        )
        return
    table = Table("check", "what must hold", "requirements", box=None, pad_edge=False)
    for case in cases:
        table.add_row(case.id, case.title, " ".join(case.requirements))
    _out.print(table)


@app.command()
def explain(
    name: Annotated[str, typer.Argument(metavar="ID", help="Check, requirement or fault.")],
) -> None:
    """Explain a check, a requirement or a fault.

    Example: hutong-conformance explain A-SEAL-002
    """
    requirements = load_requirements()
    for case in load_cases():
        if case.id == name:
            _out.print(f"[bold]{case.id}[/]  {case.title}")
            for each in case.requirements:
                _out.print(f"  {each}: {requirements[each].text}")
            if case.given:
                _out.print(f"  in a world with: {_shown(case.given)}")
            if case.change:
                _out.print(f"  differs from the sound exchange in: {_shown(case.change)}")
            _out.print(f"  expects: {_expected(case)}")
            caught = [fault.name for fault in load_faults() if name in fault.fails]
            _out.print(f"  proven by the faults: {', '.join(caught)}")
            return
    if name in requirements:
        found = requirements[name]
        _out.print(f"[bold]{found.id}[/]  {found.keyword}, {found.actor}\n  {found.text}")
        checks = [case.id for case in load_cases() if name in case.requirements]
        _out.print(f"  {'checked by ' + ', '.join(checks) if checks else found.untested}")
        return
    for fault in load_faults():
        if fault.name == name:
            _out.print(f"[bold]{fault.name}[/]  {fault.role}: {fault.text}")
            _out.print(f"  fails: {', '.join(sorted(fault.fails))}")
            return
    _fail(f"nothing is called {name}; `hutong-conformance list` shows the checks")


def _shown(properties: Mapping[str, Any]) -> str:
    """Properties of an exchange, in words."""
    return ", ".join(f"{path} = {value}" for path, value in properties.items())


def _expected(case: Case) -> str:
    """What a case expects, in words."""
    refused = case.expect.get("refused")
    if refused is not None:
        codes = f"{' or '.join(refused['codes'])}, " if "codes" in refused else ""
        return f"refused with {codes}{' or '.join(refused['reasons'])}"
    for kind in ("level", "outcome", "refusal"):
        if f"{kind}s" in case.expect:
            return f"the {kind} {' or '.join(case.expect[f'{kind}s'])}"
    return "an answer without a defect"


@app.command()
def run(
    role: Annotated[Role, typer.Option("--role", help="What is under test.")],
    profile_path: Annotated[
        Path, typer.Option("--profile", help="The implementer's declaration (YAML).")
    ],
    target: Annotated[
        str | None, typer.Option("--target", help="host:port; overrides the profile's.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="Check id; repeatable.")] = None,
    disposable: Annotated[
        bool,
        typer.Option(
            "--disposable", help="Also run what enrols, approves and revokes at the hub under test."
        ),
    ] = False,
    operator: Annotated[
        list[Path] | None,
        typer.Option("--operator", help="operator.toml of an operator; with --disposable, twice."),
    ] = None,
    prefix: Annotated[
        str, typer.Option(help="Two digits of a province nobody uses there; with --disposable.")
    ] = "",
    also: Annotated[str, typer.Option(help="host:port of a second process of the hub.")] = "",
    junit: Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run the checks of a role against an implementation.

    Example: hutong-conformance run --role adapter --target 127.0.0.1:7501 --profile city.yaml
    """
    cases = load_cases(role)
    if only:
        unknown = set(only) - {case.id for case in cases}
        if unknown:
            _fail(f"no such check for the role {role}: {', '.join(sorted(unknown))}")
        cases = [case for case in cases if case.id in only]
    writing = [case.id for case in cases if DISPOSABLE in case.needs]
    if not disposable and ((only and writing) or operator or prefix):
        _fail(_WRITES)
    try:
        profile = load_profile(profile_path, role=role, target=target)
        profile = with_also(profile, also) if also else profile
        if disposable:
            profile = with_disposable(profile, operators=operator or (), prefix=prefix)
        else:
            profile = without_disposable(profile)
        _say_of_writing(profile.target, len(writing), disposable=disposable)
        bench = open_bench(profile)
        with Progress(console=_err, transient=True, disable=not _err.is_terminal) as progress:
            task = progress.add_task(f"{role} at {profile.target}", total=len(cases))

            def advance(result: Result) -> None:
                progress.update(task, advance=1, description=result.case.id)

            results = asyncio.run(run_cases(profile, bench, cases, advance))
    except (ProfileError, KeyError, ValueError) as error:
        _fail(str(error))
    if junit is not None:
        junit.write_bytes(report.to_junit(role, results))
    verdict = report.verdict(results)
    if as_json:
        _print_json(report.to_json(role, profile.target, results))
    else:
        _out.print(report.to_table(results))
        words = {Exit.CONFORMANT: "[bold green]conformant[/]"}
        passed = sum(result.status == "pass" for result in results)
        _out.print(
            f"{words.get(verdict, '[bold red]not conformant[/]')}  "
            f"{passed} of {len(results)} checks passed"
        )
    raise typer.Exit(verdict)


def _say_of_writing(target: str, count: int, *, disposable: bool) -> None:
    """Say that a hub is written to, or that it is not."""
    if count and disposable:
        _err.print(f"{count} checks write to {target}: what they do stays in its feed for good")
    elif count:
        _err.print(f"{count} checks would write to {target} and are left out; see --disposable")


@app.command()
def coverage(as_json: AsJson = False) -> None:
    """Show which check covers which requirement; fail on a gap.

    Example: hutong-conformance coverage
    """
    gaps = coverage_gaps()
    cases = load_cases()
    covered = {
        requirement.id: [case.id for case in cases if requirement.id in case.requirements]
        for requirement in load_requirements().values()
    }
    if as_json:
        _print_json({"gaps": gaps, "covered": covered})
    else:
        table = Table("requirement", "covered by", box=None, pad_edge=False)
        for requirement in load_requirements().values():
            checks = covered[requirement.id]
            shown = " ".join(checks) if checks else f"[dim]{requirement.untested}[/]"
            table.add_row(requirement.id, shown)
        _out.print(table)
        for gap in gaps:
            _err.print(f"[bold red]gap:[/] {gap}")
    raise typer.Exit(Exit.NOT_CONFORMANT if gaps else Exit.CONFORMANT)


@app.command()
def keys(
    folder: Annotated[Path, typer.Option("--dir", help="Where to write them.")],
    hub: Annotated[str, typer.Option(help="URN of the hub they play.")] = "urn:hutong:hub:000000",
) -> None:
    """Make the suite's keys: an adapter under test trusts the anchor written here.

    `token` signs caller grants, `feed` the feed that names the suite's origin region,
    `origin` the attestations of that region.

    Example: hutong-conformance keys --dir suite-keys
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = {name: crypto.new_signing_key() for name in ("token", "feed", "origin")}
    for name, key in made.items():
        private = folder / f"suite-{name}.jwk"
        private.touch(mode=0o600)
        write_json(private, private_members(key))
    anchor = {
        "hub": hub,
        "keys": [
            {"use": use, "jwk": crypto.public_members(made[use])} for use in ("feed", "token")
        ],
    }
    write_json(folder / "anchor.json", anchor)
    _out.print(
        f"wrote {folder}/suite-*.jwk (keep them) and {folder / 'anchor.json'} (give it to the "
        "adapter)",
        soft_wrap=True,
    )


@app.command()
def vectors(
    out: Annotated[Path, typer.Option("--out", help="Folder to write into.")],
) -> None:
    """Write the worlds of the role verifier to disk, for other languages.

    Example: hutong-conformance vectors --out vectors
    """
    try:
        files = write_vectors(out)
    except OSError as error:
        _fail(f"cannot write into {out}: {error.strerror}")
    _out.print(f"wrote {len(files)} files into {out}; index.json names them", soft_wrap=True)


@app.command()
def peer(
    role: Annotated[Role, typer.Option("--role", help="Which peer.")],
    folder: Annotated[Path, typer.Option("--dir", help="Where its profile and keys go.")] = Path(),
    fault: Annotated[str, typer.Option(help="A deliberate fault; see selftest.")] = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 0,
) -> None:
    """Run a reference peer on loopback until interrupted.

    That of the role verifier serves nothing: it is a harness, and answers the requests on
    its standard input.

    Example: hutong-conformance peer --role adapter --dir peer --fault replay-accepted
    """
    if fault and fault not in {each.name for each in load_faults(role)}:
        names = ", ".join(each.name for each in load_faults(role))
        _fail(f"the {role} peer has no fault {fault}; it has: {names}")
    if role is Role.VERIFIER:
        speak(fault)
        return
    folder.mkdir(parents=True, exist_ok=True)

    async def serve() -> None:
        async with serve_peer(role, folder, fault=fault, port=port) as profile:
            _err.print(f"{role} peer is up{' with ' + fault if fault else ''}; try:")
            _err.print(f"  hutong-conformance run --role {role} --profile {profile}")
            await asyncio.Event().wait()

    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        _err.print("stopped")


@app.command()
def selftest(
    role: AnyRole = None,
    every_check: Annotated[
        bool, typer.Option("--every-check", help="Also checks that a fault cannot reach.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Prove the suite: each deliberate fault fails exactly the checks it names.

    Example: hutong-conformance selftest --role adapter
    """

    def show(proof: Proof) -> None:
        if not as_json:
            word = "[green]holds[/]" if proof.holds else "[bold red]does not hold[/]"
            _out.print(f"{proof.role:8} {proof.fault or 'sound':28} {word}")
            if not proof.holds:
                _out.print(f"  expected {sorted(proof.expected)}, failed {proof.failed}")

    proofs = asyncio.run(prove_all(role, show, every_check=every_check))
    if as_json:
        _print_json(
            [
                {
                    "role": str(each.role),
                    "fault": each.fault,
                    "expected": sorted(each.expected),
                    "failed": sorted(each.failed),
                    "holds": each.holds,
                }
                for each in proofs
            ]
        )
    raise typer.Exit(0 if all(each.holds for each in proofs) else Exit.NOT_CONFORMANT)


def main() -> None:
    """Entry point of the ``hutong-conformance`` command."""
    app()
