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


class ProgramsMissing(ProvisioningError):
    """Programs that make an image are Debian packages of the group `image`."""

    key: ClassVar[str] = "programs_missing"
    message: ClassVar[str] = N_("These programs are missing on this machine: %(programs)s.")
    hint: ClassVar[str] = N_("Install them with: provisioning/install-packages build image")


class RightsMissing(ProvisioningError):
    """A system's files belong to many users; only root may make such files."""

    key: ClassVar[str] = "rights_missing"
    message: ClassVar[str] = N_("An image can only be built with the rights of root.")
    hint: ClassVar[str] = N_("Run the same command with sudo. Nothing outside the output folder is changed.")


class SourcesMissing(ProvisioningError):
    """Units, overlay and package list lie in the repository, not in the installed package."""

    key: ClassVar[str] = "sources_missing"
    message: ClassVar[str] = N_("The folder %(path)s is not a copy of this project's repository.")
    hint: ClassVar[str] = N_("Run the command from a clone of the repository, after: make setup")


class BuildStepFailed(ProvisioningError):
    """A program of the build ended badly."""

    key: ClassVar[str] = "build_step_failed"
    message: ClassVar[str] = N_("%(program)s failed: %(reason)s")
    hint: ClassVar[str] = N_("Read the whole output in %(log)s, mend the cause and build again.")


class ArchiveUnreachable(ProvisioningError):
    """Debian's archive, or the Raspberry Pi's, did not answer."""

    key: ClassVar[str] = "archive_unreachable"
    message: ClassVar[str] = N_("The packages for the board %(board)s cannot be fetched from %(archive)s.")
    hint: ClassVar[str] = N_(
        "Check that this machine reaches that address, then build again. The details are in %(log)s."
    )


class NoRoomToBuild(ProvisioningError):
    """The disk would fill up in the middle of the work."""

    key: ClassVar[str] = "no_room_to_build"
    message: ClassVar[str] = N_("%(path)s has %(free)d MB free; building an image needs %(needed)d MB.")
    hint: ClassVar[str] = N_("Make room, or name another folder with --output.")


class SecretInImage(ProvisioningError):
    """An image is copied to hundreds of boxes and handed around: nothing secret may be in it."""

    key: ClassVar[str] = "secret_in_image"
    message: ClassVar[str] = N_("The image would contain what must not be copied: %(found)s.")
    hint: ClassVar[str] = N_("Nothing was written. Report this: it is a fault of the build.")


class ImageRefused(ProvisioningError):
    """A file that is cut short, changed, or no image of this project."""

    key: ClassVar[str] = "image_refused"
    message: ClassVar[str] = N_("%(path)s is not a whole Sandyq image: %(reason)s.")
    hint: ClassVar[str] = N_("Copy or download it again and compare its SHA-256; do not flash this file.")


class CardUnreadable(ProvisioningError):
    """sandyq.toml is no TOML, no UTF-8, or far too long."""

    key: ClassVar[str] = "card_unreadable"
    message: ClassVar[str] = N_("sandyq.toml cannot be read: %(reason)s.")
    hint: ClassVar[str] = N_("Put the line right in a text editor and save the file as UTF-8.")


class CardKeyUnknown(ProvisioningError):
    """A misspelt setting that is silently ignored would be found in the middle of a lesson."""

    key: ClassVar[str] = "card_key_unknown"
    message: ClassVar[str] = N_("sandyq.toml has a setting that does not exist: %(key)s.")
    hint: ClassVar[str] = N_("Perhaps %(near)s is meant. There are: %(known)s.")


class CardValueWrong(ProvisioningError):
    """Known setting, impossible value."""

    key: ClassVar[str] = "card_value_wrong"
    message: ClassVar[str] = N_("In sandyq.toml %(key)s cannot be %(value)s.")
    hint: ClassVar[str] = N_("Write this instead: %(allowed)s.")


class TableLineWrong(ProvisioningError):
    """The table for many boxes; nothing of it is used."""

    key: ClassVar[str] = "table_line_wrong"
    message: ClassVar[str] = N_("Line %(line)d of the table, column %(column)s, cannot be %(value)s.")
    hint: ClassVar[str] = N_("Nothing was written. Allowed here: %(allowed)s. Put it right and try again.")
