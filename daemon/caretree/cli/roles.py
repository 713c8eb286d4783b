"""Roles, purposes and reasons by the names that the command line has for them."""

from enum import StrEnum

from caretree.ledger.values import Purpose, ReplaceReason, Role


class RoleName(StrEnum):
    """The roles as the command line names them."""

    PHYSICIAN = "physician"
    NURSE = "nurse"
    LABORATORY = "laboratory"
    REGISTRAR = "registrar"
    AUDITOR = "auditor"

    def role(self) -> Role:
        """The ledger's role of this name."""
        return Role[self.name]


class PurposeName(StrEnum):
    """The purposes of readings and grants."""

    TREATMENT = "treatment"
    PAYMENT = "payment"
    PUBLIC_HEALTH = "public-health"
    PATIENT_REQUEST = "patient-request"

    def purpose(self) -> Purpose:
        """The ledger's purpose of this name."""
        return Purpose[self.name]


class ReasonName(StrEnum):
    """Why a record takes the place of another."""

    CORRECTED = "corrected"
    COMPLETED = "completed"
    WRONG_PATIENT = "wrong-patient"
    DUPLICATE = "duplicate"

    def reason(self) -> ReplaceReason:
        """The ledger's reason of this name."""
        return ReplaceReason[self.name]


def shown(choice: Role | Purpose | None) -> str:
    """A role or purpose as the command line names it; empty for none."""
    return "" if choice is None else choice.name.lower().replace("_", "-")
