"""What is asked at a service window, and how words become what the schema says."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import typer

from gateway.cli.issuer_door import read_input, the_document
from gateway.cli.terminal import fail

if TYPE_CHECKING:
    from hutong.v1 import code_pb2, issuer_pb2

SYMPTOMS: Final = ("none", "cold", "breath", "digestion", "chest", "eyes", "other")
_ANSWERS: Final = ("yes", "no", "unsure")
_SEXES: Final = {"": 0, "male": 1, "female": 2, "not-told": 9}
_STAY_PARTS: Final = (2, 3)


def ask_identity(document_file: str | None, document_type: int) -> issuer_pb2.Identity:
    """Ask who somebody is."""
    from hutong.v1 import issuer_pb2

    document = the_document(document_file, document_type)
    sex = one_of(typer.prompt("sex (male, female, not-told)", default="", err=True), tuple(_SEXES))
    return issuer_pb2.Identity(
        document=document,
        name=typer.prompt("name", err=True).strip(),
        sex=issuer_pb2.Sex.ValueType(_SEXES[sex.lower().replace("_", "-")]),
        nationality=typer.prompt("nationality (empty: CHN)", default="", err=True).strip().upper(),
        phone=typer.prompt("phone (empty: none)", default="", err=True).strip(),
        division=typer.prompt("lives in (six digits of GB/T 2260)", err=True).strip(),
    )


def ask_symptoms() -> list[str]:
    """Ask what somebody suffers from."""
    text = typer.prompt(f"symptoms ({', '.join(SYMPTOMS)})", err=True)
    return [word for word in text.replace(",", " ").split() if word]


def the_answer(given: str | None, question: str) -> code_pb2.TriState.ValueType:
    """An answer that was given, or is asked for now."""
    from hutong.v1 import code_pb2

    text = given if given is not None else typer.prompt(f"{question}? (yes, no, unsure)", err=True)
    return code_pb2.TriState.Value(f"TRI_STATE_{one_of(text, _ANSWERS)}")


def one_of(text: str, words: tuple[str, ...]) -> str:
    """A word of a list as the schema spells it."""
    word = text.strip().lower()
    if word not in words:
        raise typer.BadParameter(f"must be one of {', '.join(filter(None, words))}")
    return word.upper().replace("-", "_")


def decicelsius(degrees: float) -> int:
    """Tenths of a degree of a thermometer's reading."""
    tenths = round(degrees * 10)
    if not 1 <= tenths <= 999:  # noqa: PLR2004  what three digits of a thermometer show
        raise typer.BadParameter("a temperature is in degrees Celsius, 36.5")
    return tenths


def the_stay(text: str) -> issuer_pb2.Stay:
    """A stay of ``DIVISION,FROM`` or ``DIVISION,FROM,TO``."""
    from google.protobuf.timestamp_pb2 import Timestamp
    from hutong.v1 import issuer_pb2

    division, *times = text.split(",")
    stamps: list[Timestamp] = []
    for time in times:
        try:
            moment = datetime.fromisoformat(time)
        except ValueError:
            raise typer.BadParameter("a stay has times as 2020-03-01T08:00+08:00") from None
        if moment.tzinfo is None:
            raise typer.BadParameter("a time needs a zone, such as +08:00")
        stamp = Timestamp()
        stamp.FromDatetime(moment)
        stamps.append(stamp)
    if len(times) + 1 not in _STAY_PARTS:
        raise typer.BadParameter("a stay is DIVISION,FROM or DIVISION,FROM,TO")
    return issuer_pb2.Stay(
        division=division.strip(),
        entered_at=stamps[0],
        left_at=stamps[1] if len(stamps) > 1 else None,
    )


def from_json(message: Any, name: str) -> Any:
    """A request from a file in the JSON form of the schema."""
    from google.protobuf.json_format import Parse, ParseError

    try:
        return Parse(read_input(name), message)
    except (ParseError, UnicodeDecodeError, RecursionError):
        # The parser's text may quote what somebody declared.
        fail(f"{name} is not a {message.DESCRIPTOR.name} as JSON")
