"""What can go wrong while a blank card becomes a box, in words for IT staff.

One family, each with a stable key, a message (what happened) and a hint (what to do next); the door that
shows an error translates both. Keeps out: errors of other rooms, which already carry their own words.
"""

from typing import ClassVar


def N_(text: str) -> str:
    """Mark a sentence for the catalogues; the door that shows it translates it."""
    return text


class ProvisioningError(Exception):
    """The family; raised only through its members."""

    key: ClassVar[str] = "provisioning_error"
    message: ClassVar[str] = N_("The box could not be prepared.")
    hint: ClassVar[str] = N_("Switch it off and on; if it stays so, flash the card again.")

    def __init__(self, **params: object) -> None:
        self.params = params
        super().__init__(f"{self.message % params} {self.hint % params}")


class StateFolderUnusable(ProvisioningError):
    """The home cannot be written: rights, a read-only card, or no room."""

    key: ClassVar[str] = "state_folder_unusable"
    message: ClassVar[str] = N_("The folder %(path)s cannot be written: %(reason)s.")
    hint: ClassVar[str] = N_(
        "Check the free space and the owner of the folder. "
        "A card that became read-only is worn out: replace it."
    )


class FirstBootRunning(ProvisioningError):
    """Two first boots at once could each make a key."""

    key: ClassVar[str] = "first_boot_running"
    message: ClassVar[str] = N_("The first start is already being prepared by another process.")
    hint: ClassVar[str] = N_("Wait a minute and try again.")
