"""What a service window and a gate do: declare, itinerary, query, make, verify, correct."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli.issuer_asking import (
    SYMPTOMS,
    ask_identity,
    ask_symptoms,
    decicelsius,
    from_json,
    one_of,
    the_answer,
    the_stay,
)
from gateway.cli.issuer_door import (
    HERE,
    RESIDENT,
    AsJson,
    Directory,
    DocumentFile,
    DocumentType,
    Profile,
    ProxyFile,
    ProxyType,
    as_client,
    read_text,
    the_document,
    the_proxy,
)
from gateway.cli.terminal import Exit, console, fail, print_json, stderr

if TYPE_CHECKING:
    from hutong.v1 import issuer_service_pb2 as pb

    from gateway.issuer.calling import IssuerClient

_SUBJECTS: Final = ("declaration", "stay", "contact", "area")

correct = typer.Typer(
    no_args_is_help=True, help="Say that something held is wrong; see how it went."
)


def declare(
    file: Annotated[
        str | None,
        typer.Option(
            "--file", help="DeclareHealthRequest as JSON; `-` reads standard input; else prompts."
        ),
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="Degrees Celsius, 36.5.")] = None,
    symptom: Annotated[
        list[str] | None, typer.Option(help=f"May be repeated: {', '.join(SYMPTOMS)}.")
    ] = None,
    contact: Annotated[
        str | None, typer.Option(help="Contact with a case? yes, no, unsure.")
    ] = None,
    risk_area: Annotated[
        str | None, typer.Option(help="In an area of risk? yes, no, unsure.")
    ] = None,
    overseas: Annotated[str | None, typer.Option(help="Abroad? yes, no, unsure.")] = None,
    document_type: DocumentType = RESIDENT,
    document_file: DocumentFile = None,
    proxy_file: ProxyFile = None,
    proxy_type: ProxyType = RESIDENT,
    directory: Directory = HERE,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Take a person's health declaration, also as the day's check-in.

    Who the person is comes from prompts, or all of it from --file.
    Exit code 1 when it is refused; every field that breaks its rule is named.

    Examples:
      hutong issuer declare
      hutong issuer declare --temperature 36.5 --symptom none --contact no --risk-area no \
      --overseas no
      hutong issuer declare --file declaration.json
    """
    from hutong.v1 import code_pb2, issuer_pb2
    from hutong.v1 import issuer_service_pb2 as pb

    if file is not None:
        request = from_json(pb.DeclareHealthRequest(), file)
    else:
        identity = ask_identity(document_file, document_type)
        degrees = (
            temperature if temperature is not None else typer.prompt("°C", type=float, err=True)
        )
        told = symptom or ask_symptoms()
        request = pb.DeclareHealthRequest(
            identity=identity,
            proxy=the_proxy(proxy_file, proxy_type),
            temperature_decicelsius=decicelsius(degrees),
            symptoms=[issuer_pb2.Symptom.Value(f"SYMPTOM_{one_of(s, SYMPTOMS)}") for s in told],
            answers=code_pb2.Declarations(
                contact=the_answer(contact, "contact with a case in 14 days"),
                risk_area=the_answer(risk_area, "in an area of risk in 14 days"),
                overseas=the_answer(overseas, "abroad in 14 days"),
            ),
        )

    async def ask(client: IssuerClient) -> pb.DeclareHealthResponse:
        answer: pb.DeclareHealthResponse = await client.call(client.service.DeclareHealth, request)
        return answer

    _show_state(as_client(directory, profile, "window", ask), as_json=as_json)


def itinerary(
    stay: Annotated[
        list[str],
        typer.Option(help="DIVISION,FROM or DIVISION,FROM,TO; times as 2020-03-01T08:00+08:00."),
    ],
    document_type: DocumentType = RESIDENT,
    document_file: DocumentFile = None,
    proxy_file: ProxyFile = None,
    proxy_type: ProxyType = RESIDENT,
    directory: Directory = HERE,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Take a person's stays of the last 14 days, all of them or none.

    Example:
      hutong issuer itinerary --stay 330782,2020-03-01T08:00+08:00,2020-03-02T09:00+08:00
    """
    from hutong.v1 import issuer_service_pb2 as pb

    request = pb.DeclareItineraryRequest(
        document=the_document(document_file, document_type),
        proxy=the_proxy(proxy_file, proxy_type),
        stays=[the_stay(text) for text in stay],
    )

    async def ask(client: IssuerClient) -> pb.DeclareItineraryResponse:
        answer: pb.DeclareItineraryResponse = await client.call(
            client.service.DeclareItinerary, request
        )
        return answer

    _show_state(as_client(directory, profile, "window", ask), as_json=as_json)


def query(
    document_type: DocumentType = RESIDENT,
    document_file: DocumentFile = None,
    directory: Directory = HERE,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Say what the issuer holds of a person. Exit code 1 where that is no level.

    Example:
      hutong issuer query --document-file number.txt
    """
    from hutong.v1 import issuer_service_pb2 as pb

    from gateway.cli.issuer_view import print_outcome, print_state, to_json

    request = pb.QueryHealthRequest(document=the_document(document_file, document_type))

    async def ask(client: IssuerClient) -> pb.QueryHealthResponse:
        answer: pb.QueryHealthResponse = await client.call(client.service.QueryHealth, request)
        return answer

    found = as_client(directory, profile, "window", ask)
    is_level = found.WhichOneof("result") == "state"
    if as_json:
        print_json(to_json(found))
    elif is_level:
        print_state(found.state)
    else:
        print_outcome(found.outcome)
    if not is_level:
        raise typer.Exit(Exit.NEGATIVE)


def make_code(
    paper: Annotated[
        Path | None, typer.Option(help="Write a code on paper to this PDF; else one for a phone.")
    ] = None,
    document_type: DocumentType = RESIDENT,
    document_file: DocumentFile = None,
    proxy_file: ProxyFile = None,
    proxy_type: ProxyType = RESIDENT,
    directory: Directory = HERE,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Make a code to show: on a phone, printed here, or on paper as a PDF.

    Examples:
      hutong issuer make-code
      hutong issuer make-code --paper code.pdf
    """
    from hutong.v1 import issuer_service_pb2 as pb

    from gateway.cli.issuer_view import local, to_json

    if paper is not None and paper.exists():
        fail(f"{paper} exists already and is kept", fix="name another file")
    document = the_document(document_file, document_type)
    proxy = the_proxy(proxy_file, proxy_type)
    medium = pb.MEDIUM_PHONE if paper is None else pb.MEDIUM_PAPER

    async def ask(client: IssuerClient) -> pb.MakeCodeResponse:
        call = await client.applied(pb.CALL_KIND_MAKE)
        answer: pb.MakeCodeResponse = await client.call(
            client.service.MakeCode,
            pb.MakeCodeRequest(call=call, document=document, proxy=proxy, medium=medium),
        )
        return answer

    made = as_client(directory, profile, "window", ask)
    if paper is not None:
        _write(paper, made.pdf)
        made.ClearField("pdf")
    if as_json:
        print_json(to_json(made) | ({} if paper is None else {"paper": str(paper)}))
        return
    until = local(made.code_valid_until)
    if paper is not None:
        console.print(f"{paper}: valid until {until} (Asia/Shanghai)", soft_wrap=True)
        return
    _print_qr(made.code_content)
    console.print(f"{made.code_content}\nvalid until {until} (Asia/Shanghai)", soft_wrap=True)


def verify_code(
    shown: Annotated[str, typer.Argument(help="Scanned text; `-` reads it from standard input.")],
    temperature: Annotated[
        float | None, typer.Option(help="Measured at the gate, degrees Celsius.")
    ] = None,
    directory: Directory = HERE,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Tell a gate what a shown code stands for. Exit code 0 only where that is green.

    Example:
      hutong issuer verify-code - --temperature 36.6 < scanned.txt
    """
    from hutong.v1 import code_pb2
    from hutong.v1 import issuer_service_pb2 as pb

    from gateway.cli.issuer_view import print_outcome, print_state, to_json

    text = read_text(shown) if shown == "-" else shown
    measured = 0 if temperature is None else decicelsius(temperature)

    async def ask(client: IssuerClient) -> pb.VerifyCodeResponse:
        call = await client.applied(pb.CALL_KIND_VERIFY)
        answer: pb.VerifyCodeResponse = await client.call(
            client.service.VerifyCode,
            pb.VerifyCodeRequest(call=call, code_content=text, temperature_decicelsius=measured),
        )
        return answer

    found = as_client(directory, profile, "gate", ask)
    holder = found.holder if found.WhichOneof("result") == "holder" else None
    if as_json:
        print_json(to_json(found))
    elif holder is None:
        print_outcome(found.outcome)
    else:
        console.print(f"{holder.masked_name}  {holder.masked_number}", markup=False)
        print_state(holder.state, gate_level=holder.gate_level)
    if holder is None or holder.gate_level != code_pb2.LEVEL_GREEN:
        raise typer.Exit(Exit.NEGATIVE)


@correct.command("open")
def open_correction(
    subject: Annotated[str, typer.Option(help=f"What is wrong: {', '.join(_SUBJECTS)}.")],
    statement: Annotated[str, typer.Option(help="What the person says; `-` reads it from stdin.")],
    document_type: DocumentType = RESIDENT,
    document_file: DocumentFile = None,
    proxy_file: ProxyFile = None,
    proxy_type: ProxyType = RESIDENT,
    directory: Directory = HERE,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Open a correction (an appeal); a reviewer answers it.

    Example:
      hutong issuer correct open --subject contact --statement "I was not there"
    """
    from hutong.v1 import issuer_service_pb2 as pb

    about = pb.CorrectionSubject.Value(f"CORRECTION_SUBJECT_{one_of(subject, _SUBJECTS)}")
    words = read_text("-") if statement == "-" else statement
    request = pb.CorrectHealthRequest(
        document=the_document(document_file, document_type),
        proxy=the_proxy(proxy_file, proxy_type),
        open=pb.OpenCorrection(subject=about, statement=words),
    )
    _correct(request, directory, profile, as_json=as_json)


@correct.command("show")
def show_correction(
    correction: Annotated[str, typer.Argument(help="Its identifier, k-12.")],
    document_type: DocumentType = RESIDENT,
    document_file: DocumentFile = None,
    proxy_file: ProxyFile = None,
    proxy_type: ProxyType = RESIDENT,
    directory: Directory = HERE,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Show how a correction stands.

    Example:
      hutong issuer correct show k-12
    """
    from hutong.v1 import issuer_service_pb2 as pb

    request = pb.CorrectHealthRequest(
        document=the_document(document_file, document_type),
        proxy=the_proxy(proxy_file, proxy_type),
        show=correction,
    )
    _correct(request, directory, profile, as_json=as_json)


def _correct(
    request: pb.CorrectHealthRequest, directory: Path, profile: Path | None, *, as_json: bool
) -> None:
    from gateway.cli.issuer_view import print_correction, print_state, to_json

    async def ask(client: IssuerClient) -> pb.CorrectHealthResponse:
        answer: pb.CorrectHealthResponse = await client.call(client.service.CorrectHealth, request)
        return answer

    found = as_client(directory, profile, "window", ask)
    if as_json:
        print_json(to_json(found))
        return
    print_correction(found.correction)
    if found.HasField("state"):
        print_state(found.state)


def _show_state(
    answer: pb.DeclareHealthResponse | pb.DeclareItineraryResponse, *, as_json: bool
) -> None:
    from gateway.cli.issuer_view import print_state, to_json

    if as_json:
        print_json(to_json(answer))
    elif answer.HasField("state"):
        print_state(answer.state)
    else:
        stderr.print("taken; the declaration is past its validity, so there is no level")


def _write(path: Path, data: bytes) -> None:
    from gateway.wire.files import FileError
    from gateway.wire.private_files import write_private

    try:
        write_private(path, data)
    except FileError as error:
        fail(str(error), fix=error.fix)


def _print_qr(text: str) -> None:
    import io

    import segno

    if not console.is_terminal:
        return
    drawn = io.StringIO()
    segno.make_qr(text).terminal(drawn, compact=True)
    typer.echo(drawn.getvalue())
