"""Refused readings: none is lost, and none names more than its entry holds."""

from caretree.ledger.bodies import encode_body, parse_body
from caretree.ledger.values import Actor, Denial, Patient, Role
from caretree.model.ids import TimeMs
from caretree.node.denials import ACTORS_MAX, MINUTE_MS, PATIENTS_NAMED_MAX, Denials

from tests.ledger.people import OTHER_PATIENT, PATIENT, actor, patient
from tests.ledger.samples import body_of

NOON = TimeMs(30_000_000 * MINUTE_MS)


def at(ms: int) -> TimeMs:
    return TimeMs(NOON + ms)


def attempts(denial: Denial) -> dict[Patient, int]:
    return {attempt.patient: attempt.count for attempt in denial.attempts}


def test_attempts_are_summed_by_actor_and_minute() -> None:
    denials, doctor, nurse = Denials(), actor(), actor(Role.NURSE, "nurse-he")
    for ms in (0, 1, MINUTE_MS - 1):
        denials.note(doctor, PATIENT, at(ms))
    denials.note(doctor, OTHER_PATIENT, at(5))
    denials.note(doctor, PATIENT, at(MINUTE_MS))
    denials.note(nurse, PATIENT, at(7))

    taken = denials.take(at(2 * MINUTE_MS), everything=False)

    found = {(who, denial.minute_ms): attempts(denial) for who, denial in taken}
    assert found == {
        (doctor, NOON): {PATIENT: 3, OTHER_PATIENT: 1},
        (doctor, NOON + MINUTE_MS): {PATIENT: 1},
        (nurse, NOON): {PATIENT: 1},
    }
    assert denials.take(at(9 * MINUTE_MS), everything=True) == []


def test_a_minute_is_written_once_it_is_over() -> None:
    denials = Denials()
    denials.note(actor(), PATIENT, at(0))
    assert denials.take(at(MINUTE_MS - 1), everything=False) == []
    assert len(denials.take(at(MINUTE_MS), everything=False)) == 1


def test_a_stop_writes_the_minute_that_is_not_over() -> None:
    denials = Denials()
    denials.note(actor(), PATIENT, at(0))
    assert len(denials.take(at(1), everything=True)) == 1


def test_patients_above_the_bound_are_counted_without_their_name() -> None:
    denials = Denials()
    for number in range(PATIENTS_NAMED_MAX + 1):
        denials.note(actor(), patient(f"patient {number}"), at(0))
    denials.note(actor(), patient("patient 0"), at(0))
    ((_, denial),) = denials.take(at(MINUTE_MS), everything=False)
    assert len(denial.attempts) == PATIENTS_NAMED_MAX
    assert denial.more == 1
    assert attempts(denial)[patient("patient 0")] == 2
    assert parse_body(encode_body(body_of(denial))).happening == denial


def test_what_could_not_be_written_is_summed_with_what_came_since() -> None:
    denials = Denials()
    denials.note(actor(), PATIENT, at(0))
    ((who, denial),) = denials.take(at(1), everything=True)
    denials.note(actor(), PATIENT, at(2))
    denials.put_back(who, denial)
    ((_, again),) = denials.take(at(MINUTE_MS), everything=False)
    assert attempts(again) == {PATIENT: 2}


def test_what_is_put_back_stays_within_the_bound() -> None:
    denials = Denials()
    for number in range(PATIENTS_NAMED_MAX):
        denials.note(actor(), patient(f"early {number}"), at(0))
    denials.note(actor(), patient("one more"), at(0))
    ((who, denial),) = denials.take(at(1), everything=True)
    for number in range(PATIENTS_NAMED_MAX):
        denials.note(actor(), patient(f"late {number}"), at(2))
    denials.put_back(who, denial)
    ((_, again),) = denials.take(at(MINUTE_MS), everything=False)
    assert len(again.attempts) == PATIENTS_NAMED_MAX
    assert sum(attempts(again).values()) + again.more == 2 * PATIENTS_NAMED_MAX + 1


def test_more_actors_than_the_bound_are_written_at_once() -> None:
    denials = Denials()

    def who(number: int) -> Actor:
        return actor(principal=f"principal-{number}")

    for number in range(ACTORS_MAX):
        denials.note(who(number), PATIENT, at(0))
    assert denials.take(at(1), everything=False) == []
    denials.note(who(ACTORS_MAX), PATIENT, at(0))
    assert len(denials.take(at(1), everything=False)) == ACTORS_MAX + 1
