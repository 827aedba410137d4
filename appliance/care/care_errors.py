"""What can go wrong with backups, in words for whoever stands at the box with a stick in hand.

A part of the room's family of errors (`errors`), in a file of its own because pages never raise them.
"""

from appliance.errors import N_, ApplianceError


class BackupFolderMissing(ApplianceError):
    key = "backup_folder_missing"
    message = N_("There is no folder %(path)s.")
    hint = N_("Plug the stick in, look where the system shows it, and name that folder.")


class BackupFolderReadOnly(ApplianceError):
    key = "backup_folder_read_only"
    message = N_("Nothing can be written into %(path)s.")
    hint = N_("Look for a lock switch on the stick, or take another one. The backups on it are untouched.")


class BackupFolderFull(ApplianceError):
    key = "backup_folder_full"
    message = N_("There is no room for the backup in %(path)s: it needs %(megabytes)d MB.")
    hint = N_("Delete something else on the stick or take a larger one. The backups on it are untouched.")


class BackupFolderGone(ApplianceError):
    key = "backup_folder_gone"
    message = N_("The stick was pulled out in the middle, or it is failing.")
    hint = N_("Plug it in and start again. No half backup counts, and the older ones are untouched.")


class BackupNoRoomHere(ApplianceError):
    key = "backup_no_room_here"
    message = N_("The box itself has too little free space for this: %(megabytes)d MB are needed.")
    hint = N_("Remove models that are not used, then start again. Nothing was changed.")


class BackupRunning(ApplianceError):
    key = "backup_running"
    message = N_("Another backup or restore is running on this box.")
    hint = N_("Wait until it has ended, then start again.")


class BackupNotFound(ApplianceError):
    key = "backup_not_found"
    message = N_("There is no backup in %(path)s.")
    hint = N_("Name the folder or the file of the backup; its name begins with sandyq- and ends with .age.")


class BackupNotOne(ApplianceError):
    key = "backup_not_one"
    message = N_("%(name)s is not a backup of a box.")
    hint = N_("Name another file; backups begin with sandyq- and end with .age.")


class BackupForeign(ApplianceError):
    key = "backup_foreign"
    message = N_("%(name)s was made with another key: by another school, or before the key was made anew.")
    hint = N_("Type the code from the backup sheet that belongs to it, or take your own school's stick.")


class BackupDamaged(ApplianceError):
    key = "backup_damaged"
    message = N_("The backup %(name)s is damaged or cut short, so it was not used.")
    hint = N_("Take another one: name an older file of the same folder. Nothing was changed.")


class BackupTooNew(ApplianceError):
    key = "backup_too_new"
    message = N_("The backup %(name)s was made by a newer version of Sandyq.")
    hint = N_("Update this box first, then restore. Nothing was changed.")


class BackupTooOld(ApplianceError):
    key = "backup_too_old"
    message = N_("The backup %(name)s is %(days)d days old; learners who were deleted since may be in it.")
    hint = N_("Take a newer one. If there is none, add --old, and delete again whom you find in the list.")


class CodeMistyped(ApplianceError):
    key = "code_mistyped"
    message = N_("That is not a code from a backup sheet: a letter is missing or wrong.")
    hint = N_("Compare it with the sheet, group by group, and type it again.")


class ClassesThere(ApplianceError):
    key = "classes_there"
    message = N_("This box has classes already; they would be replaced by those of the backup.")
    hint = N_("If that is what you want, add --replace. The present database is kept aside for 30 days.")


class PagesRunning(ApplianceError):
    key = "pages_running"
    message = N_("The pages are running, so the database cannot be replaced now.")
    hint = N_("Stop them first: systemctl stop sandyq-web. Start them again afterwards.")


class SourceDamaged(ApplianceError):
    key = "source_damaged"
    message = N_("The database of this box is damaged, so no backup was made of it.")
    hint = N_("Restart the box: its first page offers the newest good backup. Nothing is overwritten.")


class NothingToCopy(ApplianceError):
    key = "nothing_to_copy"
    message = N_("This box has no database yet, so there is nothing to copy.")
    hint = N_("Start the pages and set up a class first, or restore a backup: sandyq backup restore FILE")
