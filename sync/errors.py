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
