"""Everything that can go wrong between a box and its region, in plain words.

Each error says what happened and what to do next, and carries a stable key.
The sentences are English here; the door that shows one looks its translation
up by the sentence. No secret may ever be a parameter of an error.
"""

from __future__ import annotations

from typing import ClassVar


def N_(text: str) -> str:
    """Mark a sentence for the catalogues; the door that shows it translates it."""
    return text


class SyncError(Exception):
    """The family: `message` says what happened, `hint` what to do next."""

    key: ClassVar[str] = "sync_error"
    message: ClassVar[str] = N_("Sending to the region failed.")
    hint: ClassVar[str] = N_("Try again; nothing has been lost.")
    status: ClassVar[int] = 500  # what the region answers when it meets this error

    def __init__(self, **params: object) -> None:
        self.params = params
        super().__init__(self.message % params + " " + self.hint % params)


# The disk and the database --------------------------------------------------


class DiskFull(SyncError):
    key = "disk_full"
    message = N_("The disk is full, so nothing new could be saved.")
    hint = N_("Free some space and try again; what was saved before is safe.")
    status = 507


class DatabaseBusy(SyncError):
    key = "database_busy"
    message = N_("Another program kept the database busy for too long.")
    hint = N_("Try again in a minute; nothing has been lost.")
    status = 503


class DatabaseDamaged(SyncError):
    key = "database_damaged"
    message = N_("The database file is damaged or is not a database.")
    hint = N_("Restore the latest backup; keep the damaged file for the technician.")


class DatabaseUnavailable(SyncError):
    key = "database_unavailable"
    message = N_("The database file could not be read or written.")
    hint = N_("Check that the folder exists, belongs to this program and is not read-only.")


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


class FileNotSaved(SyncError):
    key = "file_not_saved"
    message = N_("The file %(name)s could not be saved.")
    hint = N_("Check that there is free space and that the folder belongs to this program.")


# Events ----------------------------------------------------------------------


class UnknownEventKind(SyncError):
    key = "unknown_event_kind"
    message = N_("There is no kind of event called %(kind)s.")
    hint = N_("Declare the kind, and what may leave of it, in sync/event.py.")


class EventFieldsDiffer(SyncError):
    key = "event_fields_differ"
    message = N_("An event %(kind)s does not have exactly the declared fields: %(fields)s.")
    hint = N_("Declare each field, and whether it may leave, in sync/event.py.")


class EventValueInvalid(SyncError):
    key = "event_value_invalid"
    message = N_("The field %(field)s of an event %(kind)s has a value of the wrong type.")
    hint = N_("Correct the code that records this event.")


class EventOutsideTransaction(SyncError):
    key = "event_outside_transaction"
    message = N_("An event was queued outside a transaction.")
    hint = N_("Save the fact and its outbox row together, inside one transaction.")


# Keys ------------------------------------------------------------------------


class KeyMissing(SyncError):
    key = "key_missing"
    message = N_("The key %(name)s is not there.")
    hint = N_("Finish the first start of this machine, or restore the key from its backup.")


class KeyDamaged(SyncError):
    key = "key_damaged"
    message = N_("The key file %(name)s is damaged.")
    hint = N_("Restore it from its backup; do not edit key files.")


class KeyExposed(SyncError):
    key = "key_exposed"
    message = N_("Other accounts on this machine can read the file %(name)s.")
    hint = N_("Make it private with: chmod 600 FILE. If strangers used this machine, make a new key.")


# Batches and envelopes: each refusal has its own reason -----------------------


class RefusedEnvelope(SyncError):
    """What arrived is not taken; nothing of it was stored."""

    key = "envelope_refused"
    message = N_("The envelope was refused.")
    hint = N_("Nothing was stored. Send the batch again from the box that made it.")
    status = 400


class EnvelopeTruncated(RefusedEnvelope):
    key = "envelope_truncated"
    message = N_("The envelope is cut short.")


class EnvelopeMalformed(RefusedEnvelope):
    key = "envelope_malformed"
    message = N_("This is not an envelope, or its parts are in the wrong form.")


class EnvelopeOversized(RefusedEnvelope):
    key = "envelope_oversized"
    message = N_("The envelope is larger than %(limit_bytes)d bytes.")
    status = 413


class UnknownVersion(RefusedEnvelope):
    key = "envelope_unknown_version"
    message = N_("The envelope has a version this program does not know.")
    hint = N_("Nothing was stored. Update the older of the two programs.")


class UnknownSuite(RefusedEnvelope):
    key = "envelope_unknown_suite"
    message = N_("The envelope is sealed in a way this program does not know.")
    hint = N_("Nothing was stored. Update the older of the two programs.")


class WrongRecipient(RefusedEnvelope):
    key = "envelope_wrong_recipient"
    message = N_("The envelope is addressed to someone else.")
    hint = N_("Nothing was stored. Send it to the region the box is enrolled with.")


class EnvelopeAltered(RefusedEnvelope):
    key = "envelope_altered"
    message = N_("The envelope was changed on the way.")


class ForgedSignature(RefusedEnvelope):
    key = "envelope_forged"
    message = N_("The signature inside the envelope is not the box's.")
    hint = N_("Nothing was stored. If this repeats, someone may be pretending to be this box.")


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


class BoxRevoked(RefusedEnvelope):
    key = "box_revoked"
    message = N_("The region no longer believes this box's key.")
    hint = N_("The box keeps everything. Give it new keys and enrol it with a new code.")
    status = 403


class BoxNotApproved(RefusedEnvelope):
    key = "box_not_approved"
    message = N_("An operator of the region must approve this box first.")
    hint = N_("Nothing is lost: the box keeps everything, and the region keeps what came. Call the operator.")
    status = 403


class QuotaSpent(SyncError):
    key = "quota_spent"
    message = N_("This box has sent more today than the region takes from one box.")
    hint = N_("The box keeps everything; try again later.")
    status = 429


class BatchMalformed(RefusedEnvelope):
    key = "batch_malformed"
    message = N_("The batch inside the envelope is in the wrong form.")


class BatchOversized(RefusedEnvelope):
    key = "batch_oversized"
    message = N_("The batch inside the envelope unpacks to more than is allowed.")
    status = 413


class UnknownColumn(RefusedEnvelope):
    key = "batch_unknown_column"
    message = N_("The batch holds a column that may not leave a box.")


class BatchFork(RefusedEnvelope):
    key = "batch_fork"
    message = N_("Another batch with the same number is already stored.")
    hint = N_("Nothing was overwritten. Perhaps a card was copied: make new keys on one of the two boxes.")
    status = 409


class WrongEpoch(RefusedEnvelope):
    key = "batch_wrong_epoch"
    message = N_("The numbers of this batch belong to no history of this box.")
    hint = N_("Nothing was stored. Perhaps a card was copied: find out which of the two boxes is genuine.")
    status = 409


class ParcelMalformed(RefusedEnvelope):
    key = "parcel_malformed"
    message = N_("What the region sends on to the nation is in the wrong form.")
    hint = N_("Nothing was stored. Update the older of the two programs.")


class StatementForged(RefusedEnvelope):
    key = "statement_forged"
    message = N_("A daily statement was not signed by the region that sent it.")
    hint = N_("Nothing was stored. If this repeats, someone may be pretending to be this region.")


class RegionNamedTwice(RefusedEnvelope):
    key = "region_named_twice"
    message = N_("Another sender already speaks for this region.")
    hint = N_("Nothing was stored. Perhaps the server was copied: revoke the one that is not genuine.")
    status = 409


# Receipts ----------------------------------------------------------------------


class ReceiptMalformed(SyncError):
    key = "receipt_malformed"
    message = N_("The region's receipt could not be read.")
    hint = N_("The box keeps everything and will ask again.")


class ReceiptForged(SyncError):
    key = "receipt_forged"
    message = N_("The receipt was not signed by the region.")
    hint = N_("The box keeps everything. Check the region's address.")


class ReceiptForAnotherBatch(SyncError):
    key = "receipt_for_another_batch"
    message = N_("The receipt does not belong to the batch that was sent.")
    hint = N_("The box keeps everything and will ask again.")


class ReplyMalformed(SyncError):
    key = "reply_malformed"
    message = N_("What box and region say to each other could not be read.")
    hint = N_("Update the older of the two programs.")
    status = 400


class ReplyForged(SyncError):
    key = "reply_forged"
    message = N_("The answer was not signed by the region for this box.")
    hint = N_("The box keeps everything. Check the region's address.")


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


class PolicyMalformed(SyncError):
    key = "policy_malformed"
    message = N_("The region's order could not be read.")
    hint = N_("The box goes on with the order it had.")


class PolicyForged(SyncError):
    key = "policy_forged"
    message = N_("The order was not signed by the region of this box.")
    hint = N_("The box goes on with the order it had.")


class PolicyOutdated(SyncError):
    key = "policy_outdated"
    message = N_("The order has number %(version)d, but this box has seen number %(known)d.")
    hint = N_("The box goes on with the order it had.")


class PolicySuperseded(PolicyOutdated):
    key = "policy_superseded"
    message = N_("The orders of this region are signed by its desk now; this one is not.")
    hint = N_("The box goes on with the order it had.")


class PolicyUnsigned(SyncError):
    key = "policy_unsigned"
    message = N_("The order has %(signatures)d of the %(needed)d signatures it needs.")
    hint = N_("The box goes on with the order it had. Ask the region whether somebody misuses its server.")
    status = 409


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


class DeskForged(SyncError):
    key = "desk_forged"
    message = N_("These keys for orders are not vouched for by those who were trusted before.")
    hint = N_("The box goes on with the keys it had.")
    status = 409


class KeyListMalformed(SyncError):
    key = "key_list_malformed"
    message = N_("The region's list of keys could not be read.")
    hint = N_("The box goes on with the keys it had.")


class KeyListForged(SyncError):
    key = "key_list_forged"
    message = N_("The list of keys was not signed by the region of this box.")
    hint = N_("The box goes on with the keys it had.")


class KeyListOutdated(SyncError):
    key = "key_list_outdated"
    message = N_("The list of keys has number %(number)d, but this box has seen number %(known)d.")
    hint = N_("The box goes on with the keys it had.")


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


# The way to the region -----------------------------------------------------------


class NotEnrolled(SyncError):
    key = "not_enrolled"
    message = N_("This box is not enrolled with a region yet.")
    hint = N_("Ask the region for a code and run: sandyq sync enrol ADDRESS")


class AlreadyEnrolled(SyncError):
    key = "already_enrolled"
    message = N_("This box is enrolled with another region.")
    hint = N_("Check the code. Moving a box to another region is the technician's work.")


class RegionUnreachable(SyncError):
    key = "region_unreachable"
    message = N_("The region does not answer.")
    hint = N_("The box keeps everything and sends it when the link is back. Lessons go on.")


class RegionBusy(SyncError):
    key = "region_busy"
    message = N_("The region is busy.")
    hint = N_("The box keeps everything; try again later.")
    status = 503


class RegionRefused(SyncError):
    key = "region_refused"
    message = N_("The region refused (%(status)d): %(reason)s")
    hint = N_("The box keeps everything. Show this message to the region's operator.")


class TokenRefused(SyncError):
    key = "token_refused"
    message = N_("The region does not recognise this box.")
    hint = N_("The box keeps everything. Enrol it again with a new code.")
    status = 401


class AnswerUnreadable(SyncError):
    key = "answer_unreadable"
    message = N_("The answer is not from a Sandyq region.")
    hint = N_("Check the address; a sign-in page of the network may stand in the way.")


class BadRegionAddress(SyncError):
    key = "bad_region_address"
    message = N_("The region's address must begin with https:// or http://.")
    hint = N_("Copy the address exactly as the region's operator gave it.")


class WrongRegion(SyncError):
    key = "wrong_region"
    message = N_("The region's keys do not match the code.")
    hint = N_("Do not go on. Check the address and ask the operator for a new code.")


class BudgetSpent(SyncError):
    key = "budget_spent"
    message = N_("The line may not carry more now (%(reason)s).")
    hint = N_("The box keeps everything and goes on when its budget allows it.")


# Sticks ----------------------------------------------------------------------------


class StickMissing(SyncError):
    key = "stick_missing"
    message = N_("There is nothing to read at %(path)s.")
    hint = N_("Plug the stick in and give the folder where it is mounted.")


class StickReadOnly(SyncError):
    key = "stick_read_only"
    message = N_("The stick cannot be written.")
    hint = N_("Slide its lock open or take another stick; what is on it stays as it is.")


class StickFull(SyncError):
    key = "stick_full"
    message = N_("The stick is full.")
    hint = N_("Delete something on it or take another stick; the box keeps everything.")


class StickGone(SyncError):
    key = "stick_gone"
    message = N_("The stick was pulled out too early, or it is broken.")
    hint = N_("Plug it in again or take another one; the box keeps everything.")


# Enrolment ------------------------------------------------------------------------


class CodeMisspelt(SyncError):
    key = "code_misspelt"
    message = N_("The code has 20 letters and digits, in four groups of five.")
    hint = N_("Type it again exactly as printed.")
    status = 400


class CodeRefused(SyncError):
    key = "code_refused"
    message = N_("The code is wrong, has been used, or is too old.")
    hint = N_("Check it, or ask the region's operator for a new one.")
    status = 403


class TooManyCodes(SyncError):
    key = "too_many_codes"
    message = N_("Too many wrong codes were tried.")
    hint = N_("Wait %(wait_seconds)d seconds and try again.")
    status = 429


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


class RequestTooLarge(SyncError):
    key = "request_too_large"
    message = N_("The request is larger than %(limit_bytes)d bytes.")
    hint = N_("Read /openapi.json for what is expected.")
    status = 413


class NotFound(SyncError):
    key = "not_found"
    message = N_("There is nothing at this address.")
    hint = N_("Start from the first page.")
    status = 404


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
