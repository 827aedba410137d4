"""What can go wrong at the region's side alone, in plain words.

The family and what both sides meet stand in `errors`. These are not in `sync/server`, because the one
command `sandyq` says them, too: their sentences are in the catalogues of the box as well.
"""

from __future__ import annotations

from sync.errors import N_, RefusedEnvelope, SyncError

# The disk and the database --------------------------------------------------


class UnknownDatabase(SyncError):
    key = "unknown_database"
    message = N_("This kind of database address is not known.")
    hint = N_("Give an address that begins with sqlite:/// and a file path, or with postgresql://.")


class DatabaseAway(SyncError):
    key = "database_away"
    message = N_("The region's database does not answer.")
    hint = N_("The box keeps everything; try again in a minute. The operator looks whether PostgreSQL runs.")
    status = 503


class RegionMoved(SyncError):
    key = "region_moved"
    message = N_("The region has moved to another database.")
    hint = N_("The box keeps everything. The operator restarts the region's service.")
    status = 503


class TargetNotEmpty(SyncError):
    key = "target_not_empty"
    message = N_("There is a region in that database already.")
    hint = N_("Give an empty database. Nothing was changed.")


class MoveIncomplete(SyncError):
    key = "move_incomplete"
    message = N_("After the move the table %(table)s does not hold what it held before.")
    hint = N_("The region stays where it was. Run: sandyq region migrate --give-up FROM TO")


class ArchiveIncomplete(SyncError):
    key = "archive_incomplete"
    message = N_("The file for %(day)s does not hold all events of that day.")
    hint = N_("Nothing was deleted. Check the disk of the archive and run: sandyq region retain")


class ParquetMissing(SyncError):
    key = "parquet_missing"
    message = N_("Parquet files need a package that is not installed here.")
    hint = N_("Install it on the region's server with: pip install 'sandyq[region]'")
    status = 501


class DatabaseDriverMissing(SyncError):
    key = "database_driver_missing"
    message = N_("PostgreSQL needs a package that is not installed here.")
    hint = N_("Install it on the region's server with: pip install 'sandyq[region]'")


# Batches and envelopes: each refusal has its own reason -----------------------


class EnvelopeReplayed(RefusedEnvelope):
    key = "envelope_replayed"
    message = N_("Another box wrote this envelope.")
    hint = N_("Nothing was stored. If this repeats, someone may be sending again what was caught on the way.")
    status = 403


class EnvelopeResigned(RefusedEnvelope):
    key = "envelope_resigned"
    message = N_("The envelope names one box and is signed by another.")
    hint = N_("Nothing was stored. If this repeats, revoke the box that brought it: its key is misused.")
    status = 403


class UnknownBox(RefusedEnvelope):
    key = "envelope_unknown_box"
    message = N_("The envelope comes from a box that is not enrolled here.")
    hint = N_("Nothing was stored. Enrol the box with a new code.")
    status = 403


class QuotaSpent(SyncError):
    key = "quota_spent"
    message = N_("This box has sent more today than the region takes from one box.")
    hint = N_("The box keeps everything; try again later.")
    status = 429


class RegionNamedTwice(RefusedEnvelope):
    key = "region_named_twice"
    message = N_("Another sender already speaks for this region.")
    hint = N_("Nothing was stored. Perhaps the server was copied: revoke the one that is not genuine.")
    status = 409


# Envelopes in pieces ----------------------------------------------------------------


class UploadUnknown(SyncError):
    key = "upload_unknown"
    message = N_("Nobody began to send this envelope.")
    hint = N_("Begin again with its first piece.")
    status = 404


class UploadOffsetWrong(SyncError):
    key = "upload_offset_wrong"
    message = N_("The region has %(offset)d bytes of this envelope.")
    hint = N_("Go on behind the last of them.")
    status = 409


class UploadDamaged(SyncError):
    key = "upload_damaged"
    message = N_("The pieces of the envelope do not make the whole that was announced.")
    hint = N_("Begin again with its first piece.")
    status = 400


class UploadsFull(SyncError):
    key = "uploads_full"
    message = N_("The region keeps too many unfinished envelopes.")
    hint = N_("The box keeps everything; try again later.")
    status = 503


# Orders of the region -------------------------------------------------------------


class DeskMissing(SyncError):
    key = "desk_missing"
    message = N_("This region has no desk: nobody's keys sign its orders yet.")
    hint = N_("Make three keys and run: sandyq region desk propose")
    status = 409


class DeskThere(SyncError):
    key = "desk_there"
    message = N_("The orders of this region are signed by its desk.")
    hint = N_("Write a draft, let the key holders sign it and release it: sandyq region policy draft")
    status = 409


class StopAlone(SyncError):
    key = "stop_alone"
    message = N_("An order that stops changes nothing else.")
    hint = N_("Write the stop by itself, so that one key is enough; write the rest as another order.")
    status = 400


class UnknownDraft(SyncError):
    key = "unknown_draft"
    message = N_("There is no draft %(number)d.")
    hint = N_("See the drafts on the page of the policy desk.")
    status = 404


class UnknownOrder(SyncError):
    key = "unknown_order"
    message = N_("The desk has released no order %(number)d.")
    hint = N_("See the orders on the page of the policy desk.")
    status = 404


class DraftOutdated(SyncError):
    key = "draft_outdated"
    message = N_("Draft %(number)d is closed, or another order was released after it was written.")
    hint = N_("Write it again and let it be signed again.")
    status = 409


class SigningFileWrong(SyncError):
    key = "signing_file_wrong"
    message = N_("This is not a file to sign, or its words were not written at this desk.")
    hint = N_("Take the file from the desk's page once more.")
    status = 400


class SignatureUnknown(SyncError):
    key = "signature_unknown"
    message = N_("The file brings no new signature of a key that counts.")
    hint = N_("Sign it with a key of the desk: sandyq region policy sign FILE --key KEYFILE")
    status = 400


# The people of the region -----------------------------------------------------------


class LoginNeeded(SyncError):
    key = "login_needed"
    message = N_("This page is for people of the region who have logged in.")
    hint = N_("Log in and open it again.")
    status = 401


class LoginRefused(SyncError):
    key = "login_refused"
    message = N_("Name, password or code is not right.")
    hint = N_("Check all three. A code from the telephone opens once; wait for the next one.")
    status = 403


class TooManyLogins(SyncError):
    key = "too_many_logins"
    message = N_("There were too many wrong tries for this account.")
    hint = N_("Wait %(wait_minutes)d minutes and try again.")
    status = 429


class LoginsBusy(SyncError):
    key = "logins_busy"
    message = N_("Too many people are logging in at this moment.")
    hint = N_("Wait a few seconds and try again.")
    status = 503


class RoleRefused(SyncError):
    key = "role_refused"
    message = N_("Your account may not do this.")
    hint = N_("Ask a colleague with the right role.")
    status = 403


class FormForged(SyncError):
    key = "form_forged"
    message = N_("This form does not come from a page of yours.")
    hint = N_("Open the page again and send the form from there.")
    status = 403


class SetupRefused(SyncError):
    key = "setup_refused"
    message = N_("This one-time code is wrong, used or too old.")
    hint = N_("Ask whoever keeps the region's server for a new one.")
    status = 403


class PasswordTooShort(SyncError):
    key = "password_too_short"
    message = N_("The password needs at least %(least)d characters.")
    hint = N_("Four words that do not belong together are long and easy to keep.")
    status = 400


class PasswordTooLong(SyncError):
    key = "password_too_long"
    message = N_("The password may have at most %(limit)d characters.")
    hint = N_("Choose a shorter one.")
    status = 400


class PasswordTooPlain(SyncError):
    key = "password_too_plain"
    message = N_("This password is too easy to guess.")
    hint = N_("Leave the account's name out of it and use more different characters.")
    status = 400


class PasswordsDiffer(SyncError):
    key = "passwords_differ"
    message = N_("The two passwords are not the same.")
    hint = N_("Type the new password twice.")
    status = 400


class SecondFactorWrong(SyncError):
    key = "second_factor_wrong"
    message = N_("The code does not fit this telephone.")
    hint = N_("Check the telephone's clock and type the next code it shows.")
    status = 400


class OperatorExists(SyncError):
    key = "operator_exists"
    message = N_("There is an account %(name)s already.")
    hint = N_("Choose another name, or use: sandyq region operator reset")
    status = 409


class UnknownOperator(SyncError):
    key = "unknown_operator"
    message = N_("There is no account %(name)s.")
    hint = N_("See the names with: sandyq region operator list")
    status = 404


class OperatorNameWrong(SyncError):
    key = "operator_name_wrong"
    message = N_("This cannot be the name of an account.")
    hint = N_("Use 2 to 32 small Latin letters, digits, dots and dashes, such as d.omarova.")
    status = 400


class UnknownApiToken(SyncError):
    key = "unknown_api_token"
    message = N_("There is no token %(label)s.")
    hint = N_("See the labels with: sandyq region token list")
    status = 404


class ApiTokenExists(SyncError):
    key = "api_token_exists"
    message = N_("There is a token %(label)s already.")
    hint = N_("Choose another label; a revoked token does not come back.")
    status = 409


class AuditBroken(SyncError):
    key = "audit_broken"
    message = N_("The record of what was done does not hold at entry %(number)d.")
    hint = N_("Somebody changed it. Keep the database as it is and compare it with the last backup.")


class AuditShortened(SyncError):
    key = "audit_shortened"
    message = N_("The record does not hold the entry with the mark %(mark)s any more.")
    hint = N_("Somebody cut it off or put an older copy back. Compare it with the last backup.")


class RegionThere(SyncError):
    key = "region_there"
    message = N_("There is a region on this machine already.")
    hint = N_("Restore into another state folder, or put the old one aside first.")


class BackupKeyWrong(SyncError):
    key = "backup_key_wrong"
    message = N_("This key cannot seal or open the backup.")
    hint = N_("Give the public half as age1... to write, and the private file it belongs to for a restore.")


class RegionBackupDamaged(SyncError):
    key = "region_backup_damaged"
    message = N_("This is not a backup of a region, or it is damaged. %(name)s")
    hint = N_("Nothing was restored. Take another copy.")


class RegionBackupNewer(SyncError):
    key = "region_backup_newer"
    message = N_("The backup was written by a newer version of this program.")
    hint = N_("Nothing was restored. Install that version first.")


# Enrolment ------------------------------------------------------------------------


class DeviceNotProven(SyncError):
    key = "device_not_proven"
    message = N_("The box did not prove that it holds its own key.")
    hint = N_("Restart the box and try again.")
    status = 400


class UnknownLabel(SyncError):
    key = "unknown_label"
    message = N_("There is no box %(label)s here.")
    hint = N_("Look the name up with: sandyq region report")
    status = 404


class PlaceUnknown(SyncError):
    key = "place_unknown"
    message = N_("Line %(line)d of the list of schools is not in the expected form.")
    hint = N_("Write in each line: school, rural or urban, small or large. The last two may be left out.")
    status = 400


class BadRequest(SyncError):
    key = "bad_request"
    message = N_("The request is not in the expected form.")
    hint = N_("Read /openapi.json for what is expected.")
    status = 400


class MethodNotAllowed(SyncError):
    key = "method_not_allowed"
    message = N_("This address cannot be used in this way.")
    hint = N_("Read /openapi.json for what is expected.")
    status = 405


class Unexpected(SyncError):
    key = "unexpected"
    message = N_("Something went wrong at the region.")
    hint = N_("Try again later. The operator finds the reason in the region's log.")
    status = 500


class RegionNotReady(SyncError):
    key = "region_not_ready"
    message = N_("There is no region here yet.")
    hint = N_("Run: sandyq region init")


class AddressInUse(SyncError):
    key = "address_in_use"
    message = N_("Port %(port)d on %(host)s is taken or not allowed.")
    hint = N_("Stop the other program or choose another port.")
