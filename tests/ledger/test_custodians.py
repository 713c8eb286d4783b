"""Keyrings remembered between blocks: never another state than the store's, never too many."""

from caretree.ledger.apply import Applied, apply_block
from caretree.ledger.custodians import CustodianMemory
from caretree.ledger.queries import custodian_state
from caretree.ledger.stored_blocks import store_block
from caretree.ledger.values import Outcome
from caretree.model.ids import MemberId, Pseudonym
from caretree.storage.memory import MemoryStore
from caretree.storage.ports import Batch

from tests.ledger.builders import HOSPITAL, TOWN
from tests.ledger.people import PATIENT, patient
from tests.ledger.worlds import Step, World


def eventful_world() -> World:
    """Keyrings opened, used, closed by a revoke and opened again, refusals between."""
    world = World()
    other = patient("other")
    key = world.open_keyring(TOWN, PATIENT)
    world.run(TOWN, world.record(TOWN, PATIENT, key), world.record(TOWN, other, key))
    grant_id = world.new_id()
    world.take(TOWN, world.grant(TOWN, PATIENT, key, HOSPITAL, grant_id=grant_id))
    late = world.record(TOWN, PATIENT, key)
    assert world.run(TOWN, world.revoke(TOWN, PATIENT, grant_id), late)[1] is Outcome.EPOCH_CLOSED
    second = world.open_keyring(TOWN, PATIENT, previous=key)
    world.run(TOWN, world.record(TOWN, PATIENT, second), world.record(TOWN, PATIENT, key))
    hospital_key = world.open_keyring(HOSPITAL, other)
    world.run(HOSPITAL, world.record(HOSPITAL, other, hospital_key))
    return world


def replay(world: World, memory: CustodianMemory) -> MemoryStore:
    """The world's blocks applied anew with what was remembered of those before."""
    store, before = MemoryStore(), world.steps[0]
    store.write(before.applied.batch, sync=False)
    for step in world.steps[1:]:
        applied = with_memory(store, before, step, world, memory)
        assert applied.outcomes == step.applied.outcomes
        assert applied.batch.rows == step.applied.batch.rows
        before = step
    return store


def with_memory(
    store: MemoryStore, before: Step, step: Step, world: World, memory: CustodianMemory
) -> Applied:
    batch = Batch()
    store_block(batch, step.held)
    applied = apply_block(
        store,
        before.applied.head,
        step.held,
        world.rules,
        before.applied.edge,
        known=memory.states,
    )
    assert isinstance(applied, Applied)
    batch.rows.extend(applied.batch.rows)
    store.write(batch, sync=False)
    memory.learn(applied.custodians)
    return applied


def test_blocks_come_to_the_same_with_a_memory_as_without() -> None:
    world, memory = eventful_world(), CustodianMemory()

    store = replay(world, memory)

    assert len(memory.states) == 3
    for (pseudonym, member), state in memory.states.items():
        whose = next(each for each in (PATIENT, patient("other")) if each.pseudonym == pseudonym)
        assert state == custodian_state(store, whose, member)


def test_blocks_come_to_the_same_with_a_memory_that_forgets() -> None:
    memory = CustodianMemory(custodians_max=1)

    replay(eventful_world(), memory)

    assert len(memory.states) == 1


def test_the_states_asked_for_last_are_kept() -> None:
    memory = CustodianMemory(custodians_max=2)
    first, second, third = ((Pseudonym(bytes([n]) * 32), MemberId("town")) for n in range(3))

    memory.learn({first: None, second: None})
    memory.learn({first: None})
    memory.learn({third: None})

    assert set(memory.states) == {first, third}
