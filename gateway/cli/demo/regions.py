"""Who takes part in the demo: data only, so that another region is another entry.

Every region of :data:`REGIONS` enrols with the hub under its own keys. What else it
brings is said here: a platform with its adapter, the national issuer, or nothing but
a policy and a gate.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.codes import region_urn


class Brings(Enum):
    """What a region brings to the federation beside its keys and its policy."""

    CITY = "a platform of its own, and an adapter before it"
    ISSUER = "the national issuer, which is its own adapter"
    NOTHING = "no code: it decides about those of others"


@dataclass(frozen=True, slots=True)
class Region:
    """One region of the demo.

    Attributes:
        name: short name; of a city also that of its platform and its scheme.
        region: six digits.
        zh: Chinese name.
        en: English name.
        gate: what its checkpoint is called; None: it has none.
        brings: what else it runs.
        is_sharing: its platform asks other regions about arrivals (path 1).
        rules: region whose shipped policy it takes over; empty: its own, if there is one.
    """

    name: str
    region: str
    zh: str
    en: str
    gate: str | None = None
    brings: Brings = Brings.CITY
    is_sharing: bool = False
    rules: str = ""

    @property
    def urn(self) -> str:
        """URN of the region."""
        return region_urn(self.region)

    @property
    def checkpoint_urn(self) -> str:
        """URN of its checkpoint."""
        return f"urn:hutong:checkpoint:{self.region}:{self.gate}"


HANGZHOU: Final = Region("hangzhou", "330100", "杭州", "Hangzhou", "east-station")
GUANGZHOU: Final = Region("guangzhou", "440100", "广州", "Guangzhou", "north-gate")
GUANGDONG: Final = Region("guangdong", "440000", "广东", "Guangdong", "gongbei-port")
BEIJING: Final = Region("beijing", "110000", "北京", "Beijing", is_sharing=True)
NATIONAL: Final = Region("issuer", "100000", "全国", "National code", brings=Brings.ISSUER)
MACAO: Final = Region("macao", "820000", "澳门", "Macao", "barrier-gate", Brings.NOTHING)
NINGBO: Final = Region("ningbo", "330200", "宁波", "Ningbo", "ferry-gate", rules="330100")
"""Below Zhejiang's own hub (:mod:`gateway.cli.demo.province`)."""

REGIONS: Final = (HANGZHOU, GUANGZHOU, GUANGDONG, BEIJING, NATIONAL, MACAO)
CITIES: Final = tuple(region for region in REGIONS if region.brings is Brings.CITY)

HUNAN: Final = "430000"
"""Has no code of its own and takes no part: the national code answers for it."""

PLACES: Final = {
    **{region.region: f"{region.zh} {region.en}" for region in (*REGIONS, NINGBO)},
    HUNAN: "湖南 Hunan",
}
"""Names of places, for people."""
