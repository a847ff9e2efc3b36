"""People whose state is fixed by name, for the demo and for tests.

Each reference city keeps a handful of places at the start of its population for
people whose story is told in advance: one is green, one red, one holds a code
that has been renewed since. Names are ``CITY/STORY``, for example
``hangzhou/green``. Whatever the seed, a name is the same person with the same
papers, so scripts and documents may quote them. Presentations are given both
ways where both exist.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ScenarioPerson:
    """One synthetic person with a story.

    Attributes:
        name: ``CITY/STORY``.
        city: short name of the platform.
        story_zh: the story, in Chinese.
        story_en: the story, in English.
        document_number: resident identity number, synthetic.
        qr_text: what the phone shows; None: this person has no code to show.
        expected: what the city's adapter must make of it on a healthy platform when
            asked by QR, or by document where there is no QR: a level, or an outcome.
        also: levels of the other reports, the more restrictive first.
        expected_by_document: the same when asked by document; differs where the
            story is about the QR.
    """

    name: str
    city: str
    story_zh: str
    story_en: str
    document_number: str = field(repr=False)
    qr_text: str | None = field(repr=False)
    expected: str
    also: tuple[str, ...] = ()
    expected_by_document: str = ""

    def __post_init__(self) -> None:
        if not self.expected_by_document:
            object.__setattr__(self, "expected_by_document", self.expected)

    def to_dict(self) -> dict[str, object]:
        """The same as JSON members; every value in it is synthetic."""
        return {
            "name": self.name,
            "story_zh": self.story_zh,
            "story_en": self.story_en,
            "document_number": self.document_number,
            "qr_text": self.qr_text,
            "expected": self.expected,
            "also": list(self.also),
            "expected_by_document": self.expected_by_document,
        }
