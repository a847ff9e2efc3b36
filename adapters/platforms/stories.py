"""Makes the people of a city's stories out of its table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adapters.platforms.people import stranger
from adapters.platforms.qr import NOBODY
from adapters.platforms.scenarios import ScenarioPerson
from adapters.platforms.tables import Shown

if TYPE_CHECKING:
    from datetime import datetime

    from adapters.platforms.people import Population
    from adapters.platforms.tables import City, Story, Telling, Version

_NOT_FOUND_STORY: Final = "not-found"


def tell(city: City, population: Population, now: datetime) -> dict[str, ScenarioPerson]:
    """The people whose stories are told at a moment, and one who is unknown.

    Identity numbers are the same at every moment and for every seed; so are QR texts,
    where the city's do not end by themselves.
    """
    version = city.version_at(now)
    people = {}
    for index, (name, told) in enumerate(city.stories.items()):
        telling = told.told(version.id)
        if telling is not None:
            qr_text = _shown(city, version, index, telling, now)
            people[name] = _person(city, population, index, name, told, telling, qr_text)
    form = city.qr_form(version)
    by_qr, by_document = city.unknown
    qr_text = None if form is None else form.write(NOBODY, form.stamp_at(now))
    people[_NOT_FOUND_STORY] = ScenarioPerson(
        name=f"{city.name}/{_NOT_FOUND_STORY}",
        city=city.name,
        story_zh="平台查无此人",
        story_en="The platform holds nobody under this presentation",
        document_number=stranger(city.counties).number,
        qr_text=qr_text,
        expected=by_document if qr_text is None else by_qr,
        expected_by_document=by_document,
    )
    return people


def generation_of(city: City, version: Version, index: int) -> int:
    """How often a person's code was made: twice where the story shows the old one."""
    told = city.told(index, version)
    return 2 if told is not None and told.shows is Shown.OLD else 1


def _person(
    city: City,
    population: Population,
    index: int,
    name: str,
    told: Story,
    telling: Telling,
    qr_text: str | None,
) -> ScenarioPerson:
    return ScenarioPerson(
        name=f"{city.name}/{name}",
        city=city.name,
        story_zh=told.zh,
        story_en=told.en,
        document_number=population.person(index).number,
        qr_text=qr_text,
        expected=telling.expected,
        also=telling.also,
        expected_by_document=telling.by_document
        or (telling.expected if city.documents else city.unknown[1]),
    )


def _shown(city: City, version: Version, index: int, telling: Telling, now: datetime) -> str | None:
    form = city.qr_form(version)
    if telling.shows is Shown.EARLIER:
        before = city.version_before(version)
        form = None if before is None else city.qr_form(before)
    if form is None or telling.shows is Shown.NONE:
        return None
    if telling.shows is Shown.FOREIGN:
        text = form.write(index, form.stamp_at(now))
        return text[:-1] + ("0" if text[-1] != "0" else "1")
    if telling.shows is Shown.OLD:
        # With a life: made so long ago that it ended a life ago.
        made = now if form.life is None else now - 2 * form.life
        return form.write(index, form.stamp_at(made, generation=1))
    generation = generation_of(city, version, index)
    return form.write(index, form.stamp_at(now, generation))
