"""Everything that can go wrong in the classroom, said so that a teacher knows the next step.

One family. `message` says what happened, `hint` what to do; both are English sentences that the
catalogues translate, so the same error reads well on a page, in a problem document and on a terminal.
"""

from typing import ClassVar


def N_(text: str) -> str:
    """Mark a sentence for the catalogues; the door that shows it translates it."""
    return text


class ApplianceError(Exception):
    """Base of the family. `status` is the HTTP status a page answers with."""

    key: ClassVar[str] = "appliance_error"
    status: ClassVar[int] = 500
    message: ClassVar[str] = N_("The box could not do that.")
    hint: ClassVar[str] = N_("Try again. If it happens once more, call the person who looks after the box.")

    def __init__(self, **params: object) -> None:
        self.params = params
        super().__init__(f"{self.message % params} {self.hint % params}")


class NotFound(ApplianceError):
    key = "not_found"
    status = 404
    message = N_("There is no such page on this box.")
    hint = N_("Go back to the first page.")


class NotAllowed(ApplianceError):
    key = "not_allowed"
    status = 403
    message = N_("This page is for the teacher.")
    hint = N_("Log in with the teacher's PIN.")


class ForeignOrigin(ApplianceError):
    key = "foreign_origin"
    status = 403
    message = N_("This request came from another site, so the box did nothing.")
    hint = N_("Open the box's own page and do it there.")


class BodyTooLarge(ApplianceError):
    key = "body_too_large"
    status = 413
    message = N_("That is more than the box accepts at once.")
    hint = N_("Send a shorter text.")


class BrokenText(ApplianceError):
    key = "broken_text"
    status = 400
    message = N_("Some letters arrived broken.")
    hint = N_("Type the text again by hand; do not paste it.")


class AlreadySetUp(ApplianceError):
    key = "already_set_up"
    status = 409
    message = N_("This box already has its teacher.")
    hint = N_("Log in with the teacher's PIN.")


class FieldMissing(ApplianceError):
    key = "field_missing"
    status = 400
    message = N_("A field is empty: %(field)s.")
    hint = N_("Fill it in and send again.")


class PinTooShort(ApplianceError):
    key = "pin_too_short"
    status = 400
    message = N_("The PIN needs at least %(least)d digits.")
    hint = N_("Choose a longer PIN that learners cannot guess.")


class PinTooLong(ApplianceError):
    key = "pin_too_long"
    status = 400
    message = N_("The PIN is too long.")
    hint = N_("Use at most %(limit)d digits.")


class PinsDiffer(ApplianceError):
    key = "pins_differ"
    status = 400
    message = N_("The two PINs are not the same.")
    hint = N_("Type the same PIN twice.")


class NameTooLong(ApplianceError):
    key = "name_too_long"
    status = 400
    message = N_("This name is too long: %(name)s.")
    hint = N_("Use at most %(limit)d characters for a name.")


class TooManyLearners(ApplianceError):
    key = "too_many_learners"
    status = 400
    message = N_("A class can have at most %(limit)d learners on this box.")
    hint = N_("Make the list shorter.")


class TooManyClasses(ApplianceError):
    key = "too_many_classes"
    status = 400
    message = N_("This box can hold at most %(limit)d classes.")
    hint = N_("Use another box for the next class.")


class TooManyGrades(ApplianceError):
    key = "too_many_grades"
    status = 400
    message = N_("A room can have at most %(limit)d grades at once.")
    hint = N_("Choose fewer grades, or make a second class.")


class RulesTooLong(ApplianceError):
    key = "rules_too_long"
    status = 400
    message = N_("The rules are longer than a child will read.")
    hint = N_("Use at most %(limit)d characters.")


class ListRefused(ApplianceError):
    """The list as a whole cannot be read; single bad rows are named one by one instead."""

    key = "list_refused"
    status = 400
    message = N_("This file is no class list that the box can read.")
    hint = N_("Save it as CSV or XLSX with one learner a row, or paste the names.")


class ListTooLarge(ListRefused):
    key = "list_too_large"
    status = 413
    message = N_("This file is too large for a class list.")
    hint = N_("Leave only the names and grades in it, or paste the names.")


class ListIncomplete(ListRefused):
    key = "list_incomplete"
    message = N_("This OneRoster export is not complete: %(part)s.")
    hint = N_("Export it again as a full (bulk) OneRoster 1.2 CSV.")


class ListHasManyClasses(ListRefused):
    key = "list_has_many_classes"
    message = N_("This export holds several classes: %(names)s.")
    hint = N_("Choose one of them and send the file again.")


class WrongPictures(ApplianceError):
    key = "wrong_pictures"
    status = 403
    message = N_("These are not your pictures.")
    hint = N_("Tries left: %(left)d.")


class PicturesByTeacher(ApplianceError):
    key = "pictures_by_teacher"
    status = 403
    message = N_("Nobody has chosen pictures for this name yet.")
    hint = N_("Most of the class has its pictures already. Ask your teacher to let you choose yours.")


class TooManyPictureTries(ApplianceError):
    key = "too_many_picture_tries"
    status = 429
    message = N_("Too many wrong pictures for this name.")
    hint = N_("Ask your teacher to let you in, or wait %(minutes)d minutes.")


class UnknownCard(ApplianceError):
    key = "unknown_card"
    status = 404
    message = N_("This card is not valid any more.")
    hint = N_("Ask your teacher for a new card, or choose your name.")


class WrongRecoveryCode(ApplianceError):
    key = "wrong_recovery_code"
    status = 403
    message = N_("This recovery code is not right.")
    hint = N_("Look at the newest printed sheet. Tries left: %(left)d.")


class NothingToSay(ApplianceError):
    key = "nothing_to_say"
    status = 404
    message = N_("There is nothing here to read aloud.")
    hint = N_("Wait until the answer is finished.")


class SpeechBusy(ApplianceError):
    key = "speech_busy"
    status = 503
    message = N_("The box is reading to others right now.")
    hint = N_("Try again in a few seconds.")


class SpeechMissing(ApplianceError):
    key = "speech_missing"
    status = 503
    message = N_("This box cannot read aloud.")
    hint = N_("The technician can add it: install espeak-ng.")


class WrongPin(ApplianceError):
    key = "wrong_pin"
    status = 403
    message = N_("This PIN is not right.")
    hint = N_("Tries left: %(left)d.")


class WrongSetupCode(ApplianceError):
    key = "wrong_setup_code"
    status = 403
    message = N_("The code for the first start is not right.")
    hint = N_("It is on the box's screen and on its card in sandyq-result.txt. Tries left: %(left)d.")


class HelperMissing(ApplianceError):
    key = "helper_missing"
    status = 501
    message = N_("On this machine the pages cannot change the network or switch it off.")
    hint = N_("Do it by hand. On a box made from Sandyq's image it works; if this is one, restart it.")


class HelperFailed(ApplianceError):
    key = "helper_failed"
    status = 502
    message = N_("The box could not do that (%(why)s).")
    hint = N_("Everything is as before. Try again; if it stays so, restart the box and call the technician.")


class TooManyTries(ApplianceError):
    key = "too_many_tries"
    status = 429
    message = N_("Too many wrong tries from this device.")
    hint = N_("Wait %(minutes)d minutes, then try again.")


class UnknownClassCode(ApplianceError):
    key = "unknown_class_code"
    status = 404
    message = N_("No class has this code.")
    hint = N_("Look at the code on the teacher's screen and type its digits again.")


class UnknownLearner(ApplianceError):
    key = "unknown_learner"
    status = 404
    message = N_("This name is not in the class.")
    hint = N_("Choose your name again, or ask your teacher.")


class SessionNotOpen(ApplianceError):
    key = "session_not_open"
    status = 409
    message = N_("The lesson is not open.")
    hint = N_("Wait until your teacher opens it. Your text stays here.")


class QuestionEmpty(ApplianceError):
    key = "question_empty"
    status = 400
    message = N_("The question is empty.")
    hint = N_("Write what you want to understand.")


class QuestionTooLong(ApplianceError):
    key = "question_too_long"
    status = 400
    message = N_("The question has %(length)d characters; the limit is %(limit)d.")
    hint = N_("Make it shorter. Your text stays here.")


class TooManyQuestions(ApplianceError):
    key = "too_many_questions"
    status = 429
    message = N_("You already have %(limit)d questions waiting.")
    hint = N_("Read the answers first. Your text stays here.")


class TooManyStreams(ApplianceError):
    key = "too_many_streams"
    status = 503
    message = N_("Too many pages of this box are open at once.")
    hint = N_("Close the tabs you do not need. This page tries again by itself.")


class NotYourClass(ApplianceError):
    key = "not_your_class"
    status = 403
    message = N_("This belongs to another class.")
    hint = N_("Its own teacher, or the first teacher of this box, can change it.")


class StopSetAbove(ApplianceError):
    key = "stop_set_above"
    status = 403
    message = N_("The school set this stop, so only the school can lift it.")
    hint = N_("Ask the first teacher of this box.")


class StopSetAlready(ApplianceError):
    key = "stop_set_already"
    status = 409
    message = N_("AI is paused for the class already, so there is nothing to try.")
    hint = N_("Let AI go on first, then run the drill.")


class NoSuchRule(ApplianceError):
    key = "no_such_rule"
    status = 400
    message = N_("There is no such rule.")
    hint = N_("Choose from the lists on the page.")


class RuleTimeWrong(ApplianceError):
    key = "rule_time_wrong"
    status = 400
    message = N_("The times of this rule do not fit.")
    hint = N_("Give both times, such as 08:00 and 08:45, the earlier one first, or none.")


class TooManyRules(ApplianceError):
    key = "too_many_rules"
    status = 400
    message = N_("A class can have at most %(limit)d rules.")
    hint = N_("Remove some first.")


class RuleOff(ApplianceError):
    key = "rule_off"
    status = 409
    message = N_("AI is off now: that is a rule of your class.")
    hint = N_("Go on with your book, or ask your teacher. Your text stays here.")


class RuleOffUntil(ApplianceError):
    key = "rule_off_until"
    status = 409
    message = N_("AI is off until %(until)s: that is a rule of your class.")
    hint = N_("Go on with your book, or ask your teacher. Your text stays here.")


class MinutesUsed(ApplianceError):
    key = "minutes_used"
    status = 409
    message = N_("Your %(limit)d minutes of AI for today are used up.")
    hint = N_("Go on with your book, a classmate or your teacher. Tomorrow you have new minutes.")


class LearnerStopped(ApplianceError):
    """What a learner reads while stopped; no blame, and something to do. So the other three."""

    key = "learner_stopped"
    status = 409
    message = N_("Your teacher has paused AI for you.")
    hint = N_("Go on with your book or exercise book, and talk to your teacher.")


class ClassStopped(ApplianceError):
    key = "class_stopped"
    status = 409
    message = N_("Your teacher has paused AI for the whole class.")
    hint = N_("Listen to your teacher now. Your text stays here.")


class SchoolStopped(ApplianceError):
    key = "school_stopped"
    status = 409
    message = N_("AI is paused in the whole school.")
    hint = N_("Go on with your book. Your teacher knows when it comes back.")


class RegionStopped(ApplianceError):
    key = "region_stopped"
    status = 409
    message = N_("AI is paused in the whole region.")
    hint = N_("Go on with your book. Your teacher knows when it comes back.")


class ExamRunning(ApplianceError):
    """What a learner reads during an exam."""

    key = "exam_running"
    status = 409
    message = N_("Your class is writing an exam, so AI is off.")
    hint = N_("Work on your own. If a task is unclear, ask your teacher.")


class ExamNotClosed(ApplianceError):
    key = "exam_not_closed"
    status = 507
    message = N_("The exam did not start: the box could not close the language model.")
    hint = N_(
        "Call the technician: the box needs room on its disk. Until then hold the exam without the box."
    )


class ExamRunsAlready(ApplianceError):
    key = "exam_runs_already"
    status = 409
    message = N_("An exam of this class is running already.")
    hint = N_("End it first.")


class NoSuchExam(ApplianceError):
    key = "no_such_exam"
    status = 404
    message = N_("There is no such exam of this class.")
    hint = N_("Go back to the page of exams.")


class ExamTimeOutOfRange(ApplianceError):
    key = "exam_time_out_of_range"
    status = 400
    message = N_("An exam takes from 1 to %(most)d minutes.")
    hint = N_("Choose one of the times on the page.")


class CertificateBroken(ApplianceError):
    key = "certificate_broken"
    message = N_("This certificate is not whole: line %(line)d was changed, moved or removed.")
    hint = N_("Ask the teacher for the file again, straight from the box.")


class CertificateForeign(ApplianceError):
    key = "certificate_foreign"
    message = N_("This certificate was sealed by another box: %(device)s.")
    hint = N_("Compare with the number of the box in the region's list.")


class EngineUnreachable(ApplianceError):
    key = "engine_unreachable"
    status = 503
    message = N_("The language model is starting or being restarted.")
    hint = N_("Questions are kept and answered as soon as it is back.")


class AnswerFailed(ApplianceError):
    key = "answer_failed"
    status = 502
    message = N_("The language model could not answer this question.")
    hint = N_("Ask it in other words, or ask your teacher.")


class DiskFull(ApplianceError):
    key = "disk_full"
    status = 507
    message = N_("The box has no room left, so this was not saved.")
    hint = N_("Tell your teacher or the technician that the box needs room. Nothing saved before is lost.")


class DatabaseBusy(ApplianceError):
    key = "database_busy"
    status = 503
    message = N_("The box is busy saving.")
    hint = N_("Send again in a few seconds. Your text stays here.")


class SettingsRefused(ApplianceError):
    key = "settings_refused"
    message = N_("%(source)s: %(reason)s.")
    hint = N_("Correct the setting and start again; docs/settings.md lists every one.")


class AlreadyRunning(ApplianceError):
    key = "already_running"
    message = N_("Another Sandyq already serves the folder %(home)s.")
    hint = N_("Stop it first, or choose another folder with SANDYQ_HOME.")


class PortTaken(ApplianceError):
    key = "port_taken"
    message = N_("Port %(port)d is already in use.")
    hint = N_("Stop the program that uses it, or choose another port with --port.")


class DemoFailed(ApplianceError):
    key = "demo_failed"
    message = N_("The %(part)s did not start.")
    hint = N_("Its last words are above. Correct that and start the demo again.")


class ChoiceMissing(ApplianceError):
    key = "choice_missing"
    status = 400
    message = N_("Nothing was chosen.")
    hint = N_("Choose one of the answers and send again.")


class WordsTooLong(ApplianceError):
    key = "words_too_long"
    status = 400
    message = N_("The text has %(length)d characters; the limit is %(limit)d.")
    hint = N_("Make it shorter. Your text stays here.")


class CorrectionMissing(ApplianceError):
    key = "correction_missing"
    status = 400
    message = N_("A correction needs a word to the learner.")
    hint = N_("Write what is right, then send again.")


class AlreadyContested(ApplianceError):
    key = "already_contested"
    status = 409
    message = N_("You have already said that you disagree with this answer.")
    hint = N_("Your teacher sees it. The decision will stand under the answer.")


class AlreadyDecided(ApplianceError):
    key = "already_decided"
    status = 409
    message = N_("This has already been decided.")
    hint = N_("Open the list again to see the decision.")


class NothingToReplay(ApplianceError):
    key = "nothing_to_replay"
    status = 409
    message = N_("Nothing of this answer went to the language model.")
    hint = N_("There is nothing to ask again.")


class ReplaysFull(ApplianceError):
    key = "replays_full"
    status = 429
    message = N_("Other answers are being asked again already.")
    hint = N_("Wait until they are finished, then try again.")


class LessonOpen(ApplianceError):
    key = "lesson_open"
    status = 409
    message = N_("The lesson is open.")
    hint = N_("Close it first, then delete: an answer may still be on its way.")


class NotConfirmed(ApplianceError):
    key = "not_confirmed"
    status = 400
    message = N_("Nothing was deleted: the box was not ticked.")
    hint = N_("Tick that you mean it, and send again. What is deleted cannot come back.")


class GiftUnreadable(ApplianceError):
    key = "gift_unreadable"
    status = 400
    message = N_("Line %(line)d of the GIFT text cannot be used: %(reason)s.")
    hint = N_("Nothing was imported. Correct that line and import the whole text again.")


class TaskIncomplete(ApplianceError):
    key = "task_incomplete"
    status = 400
    message = N_("The task is not complete: %(reason)s.")
    hint = N_("Correct it and save again. Your text stays here.")


class UnknownTask(ApplianceError):
    key = "unknown_task"
    status = 404
    message = N_("There is no such task in your class.")
    hint = N_("Go back to the list of tasks.")


class TutorHeld(ApplianceError):
    key = "tutor_held"
    status = 409
    message = N_("Your teacher is coming to you.")
    hint = N_("You need not write anything now. When you have talked, your teacher opens the tutor again.")


class BundleNotSaved(ApplianceError):
    key = "bundle_not_saved"
    message = N_("The support bundle could not be saved as %(path)s.")
    hint = N_("Name a file in a folder that exists and can be written.")
