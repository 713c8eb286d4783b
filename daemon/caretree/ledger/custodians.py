"""Keyrings of patients as they stand, remembered from block to block.

A patient's records come at many blocks, and each asks whether its keyring is open. The states are
those of Table.CUSTODIAN: apply alone writes that table, and says with each block which of them it
read or changed.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, TypeAlias

from caretree.ledger.patient_rows import CustodianState
from caretree.model.ids import MemberId, Pseudonym

CUSTODIANS_MAX: Final = 8192  # of about half a kilobyte

# A patient by pseudonym and a custodian; None for one that has no keyring for the patient.
Custodians: TypeAlias = Mapping[tuple[Pseudonym, MemberId], CustodianState | None]


class CustodianMemory:
    """The states that were asked for last; behind the store by no block that was written."""

    __slots__ = ("_custodians_max", "_states")

    def __init__(self, *, custodians_max: int = CUSTODIANS_MAX) -> None:
        assert custodians_max > 0
        self._custodians_max = custodians_max
        self._states: OrderedDict[tuple[Pseudonym, MemberId], CustodianState | None] = OrderedDict()

    @property
    def states(self) -> Custodians:
        """What is remembered."""
        return self._states

    def learn(self, states: Custodians) -> None:
        """Take over what a block read and changed, once its rows are written."""
        for key, state in states.items():
            self._states[key] = state
            self._states.move_to_end(key)
        while len(self._states) > self._custodians_max:
            self._states.popitem(last=False)
