"""Invented residents of a township, the same ones for the same seed, as FHIR R4 bundles.

Nobody here exists: the resident numbers are of region 999999, which is assigned to no place, with
right check digits (GB 11643), so they pass every check that a real one passes and name no one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from random import Random
from typing import Final

import orjson
from caretree.crypto.resident_number import RESIDENT_NUMBER_SYSTEM, resident_check_place

from ops.demo.check_ups import CheckUp, Json, check_up_resources, draw_check_ups, entry, urn

DEMO_SEED: Final = 7
DEMO_COUNT: Final = 300
HEALTH_RECORD_SYSTEM: Final = "https://qingxi-township.example/health-record"
UNASSIGNED_REGION: Final = "999999"

_FIRST_CHECK_UP_YEAR = 2024

_SURNAMES: Final = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗高郑梁谢宋唐许韩邓冯曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任"
    "卢姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔"
)
_COMPOUND_SURNAMES: Final = ("欧阳", "上官", "司马", "诸葛", "皇甫")
_MALE_GIVEN: Final = (
    "伟强磊军勇涛斌辉刚健明亮建国志华文杰鹏飞海波德顺福贵永康振兴宝林春生学东松柏浩然子轩"
)
_FEMALE_GIVEN: Final = (
    "芳娜敏静丽艳娟霞秀英玉兰桂香凤琴淑珍红梅雪莲慧玲月娥春花翠萍小燕晓云雨婷诗涵佳怡"
)
# Beyond the 16-bit characters: systems that count in UTF-16 or write GBK stumble over such names.
_RARE_GIVEN: Final = "𬭎𫖯𬀩䶮㛃𤧛"
_VILLAGES: Final = (
    "东河村",
    "柳树村",
    "上湾村",
    "石桥村",
    "南坪村",
    "青杨村",
    "大塘村",
    "永兴社区",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """One invented person and what three check-ups found."""

    number: str = field(repr=False)
    family: str = field(repr=False)
    given: str = field(repr=False)
    female: bool
    born: date = field(repr=False)
    village: str
    file_number: str
    check_ups: tuple[CheckUp, ...] = field(repr=False)


def residents(*, seed: int, count: int) -> Iterator[Resident]:
    """The first `count` residents of the town that `seed` makes; a longer list begins the same."""
    draw = Random(seed)
    numbers: set[str] = set()
    for index in range(count):
        resident = _draw_resident(draw, index=index, taken=numbers)
        numbers.add(resident.number)
        yield resident


def bundle_of(resident: Resident) -> bytes:
    """A FHIR R4 transaction bundle in UTF-8: the Patient, then each check-up's resources."""
    entries = [entry(_patient(resident), key=resident.number)]
    for check_up in resident.check_ups:
        resources = check_up_resources(check_up, person=resident.number)
        entries.extend(entry(resource, key=str(resource["id"])) for resource in resources)
    return orjson.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries})


def resident_number(*, born: date, sequence: int) -> str:
    """The 18-place number of region 999999; an odd sequence (1 to 999) is a man's."""
    body = f"{UNASSIGNED_REGION}{born:%Y%m%d}{sequence:03d}"
    return body + resident_check_place(body)


def _draw_resident(draw: Random, *, index: int, taken: set[str]) -> Resident:
    female = draw.random() < 0.52
    age = round(min(92.0, max(18.0, draw.gauss(54, 16))))
    born = date(_FIRST_CHECK_UP_YEAR - age, draw.randint(1, 12), draw.randint(1, 28))
    number = _draw_number(draw, born=born, female=female, taken=taken)
    return Resident(
        number=number,
        family=_draw_family(draw),
        given=_draw_given(draw, female=female),
        female=female,
        born=born,
        village=draw.choice(_VILLAGES),
        file_number=f"QX{index + 1:06d}",
        check_ups=draw_check_ups(
            draw, born=born, female=female, first_year=_FIRST_CHECK_UP_YEAR, index=index
        ),
    )


def _draw_number(draw: Random, *, born: date, female: bool, taken: set[str]) -> str:
    while True:  # ends: a town of some thousands never fills the 500 numbers of one birthday
        sequence = 2 * draw.randint(1, 499) + (0 if female else 1)
        number = resident_number(born=born, sequence=sequence)
        if number not in taken:
            return number


def _draw_family(draw: Random) -> str:
    if draw.random() < 0.01:
        return draw.choice(_COMPOUND_SURNAMES)
    # The commonest stand first: a squared draw prefers them, as the land does.
    return _SURNAMES[int(draw.random() ** 2 * len(_SURNAMES))]


def _draw_given(draw: Random, *, female: bool) -> str:
    letters = _FEMALE_GIVEN if female else _MALE_GIVEN
    given = "".join(draw.choice(letters) for _ in range(1 if draw.random() < 0.25 else 2))
    return given[:-1] + draw.choice(_RARE_GIVEN) if draw.random() < 0.02 else given


def _patient(resident: Resident) -> Json:
    return {
        "resourceType": "Patient",
        "id": urn(resident.number).removeprefix("urn:uuid:"),
        "identifier": [_national_number(resident), _health_record(resident)],
        "active": True,
        "name": [
            {
                "use": "official",
                "text": resident.family + resident.given,
                "family": resident.family,
                "given": [resident.given],
            }
        ],
        "telecom": [
            # No mobile number begins with 120.
            {"system": "phone", "value": f"12000{resident.file_number[2:]}", "use": "mobile"}
        ],
        "gender": "female" if resident.female else "male",
        "birthDate": resident.born.isoformat(),
        "address": [
            {
                "use": "home",
                "text": f"云河县清溪镇{resident.village}",
                "district": "云河县",
                "city": "清溪镇",
                "country": "CN",
            }
        ],
        "managingOrganization": {"display": "清溪镇中心卫生院"},
    }


def _national_number(resident: Resident) -> Json:
    return {
        "use": "official",
        "type": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/v2-0203",
                    "code": "NNCHN",
                }
            ],
            "text": "居民身份证",
        },
        "system": RESIDENT_NUMBER_SYSTEM,
        "value": resident.number,
    }


def _health_record(resident: Resident) -> Json:
    return {
        "use": "usual",
        "type": {"text": "居民健康档案编号"},
        "system": HEALTH_RECORD_SYSTEM,
        "value": resident.file_number,
    }
