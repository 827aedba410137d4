"""Everything that can go wrong around a model, in words a teacher can act on.

Each error has a stable `key` (also the error code of the engine's HTTP answers), a sentence
that says what happened and a hint that says what to do next. Both are English msgids with
named parameters; the door that shows them translates. Errors of Python, pip, the network and
llama.cpp are turned into these at the room's border.
"""

from typing import ClassVar


def N_(text: str) -> str:
    """Mark a sentence for the catalogues; the door that shows it translates it."""
    return text


class ModelsError(Exception):
    """The family; `status` is what the engine's HTTP door answers with."""

    key: ClassVar[str] = "models_error"
    message: ClassVar[str] = N_("The model could not be used.")
    hint: ClassVar[str] = N_("Try again; if it happens again, restart the box.")
    status: ClassVar[int] = 500

    def __init__(self, **params: object) -> None:
        self.params = params
        super().__init__(f"{self.message % params} {self.hint % params}")


# --- catalogue, store and fetch -------------------------------------------------------------------


class ModelUnknown(ModelsError):
    key = "model_unknown"
    message = N_("There is no model named %(name)s in the catalogue.")
    hint = N_("Known models: %(known)s.")


class CardInvalid(ModelsError):
    key = "card_invalid"
    message = N_("The model card %(name)s cannot be read: %(detail)s.")
    hint = N_("Reinstall this version of Sandyq.")


class CatalogueUntrusted(ModelsError):
    key = "catalogue_untrusted"
    message = N_("The catalogue of models in %(path)s does not carry the signature of Sandyq's maintainers.")
    hint = N_("Nothing of it is used. Bring one that does: sandyq models catalogue import PATH")


class CatalogueUnreadable(ModelsError):
    key = "catalogue_unreadable"
    message = N_("The catalogue of models in %(path)s cannot be read: %(detail)s.")
    hint = N_("Give the folder or the .zip file that was published, or a USB stick that holds the folder.")


class CatalogueAbsent(CatalogueUnreadable):
    key = "catalogue_absent"
    message = N_("There is no catalogue of models in %(path)s.")


class CatalogueDamaged(ModelsError):
    """One that lies on this box: shipped, or brought and good when it came."""

    key = "catalogue_damaged"
    message = N_("The catalogue of models in %(path)s is damaged or false, and is not used.")
    hint = N_("Bring a signed one (sandyq models catalogue import PATH) or install Sandyq again.")


class CatalogueOlder(ModelsError):
    key = "catalogue_older"
    message = N_("This catalogue of models is version %(offered)d, and the box has version %(here)d already.")
    hint = N_("Nothing was changed. Bring a newer one if you miss a model.")


class CardChanged(ModelsError):
    key = "card_changed"
    message = N_("The model card %(name)s is not the one that was signed: somebody or something changed it.")
    hint = N_(
        "It is not used; the other models still work. Bring the signed catalogue "
        "(sandyq models catalogue import PATH) or install Sandyq again."
    )


class CardUnsigned(ModelsError):
    key = "card_unsigned"
    message = N_("The model card %(name)s was added without a signature.")
    hint = CardChanged.hint


class CardMissing(ModelsError):
    key = "card_missing"
    message = N_("The model card %(name)s is missing from the signed catalogue.")
    hint = CardChanged.hint


class SigningKeyUnusable(ModelsError):
    """Told to the maintainer who signs, at `python -m models.sign_catalogue`."""

    key = "signing_key_unusable"
    message = N_("The signing key %(path)s cannot be used: %(detail)s.")
    hint = N_("Give the file that holds the private key; only its owner may read it (chmod 600).")


class ModelAbsent(ModelsError):
    key = "model_absent"
    message = N_("The model %(name)s is not on this box.")
    hint = N_("Fetch it: sandyq models pull %(name)s")


class NoCurrentModel(ModelsError):
    key = "no_current_model"
    message = N_("No model has been chosen yet.")
    hint = N_("Fetch one: sandyq models pull smollm2-135m-instruct")


class CurrentUnreadable(ModelsError):
    key = "current_unreadable"
    message = N_("The note about the chosen model is damaged (%(path)s).")
    hint = N_("Choose the model again: sandyq models use NAME")


class ModelDamaged(ModelsError):
    key = "model_damaged"
    message = N_("The file of the model %(name)s is damaged: %(detail)s.")
    hint = N_("It was not used. Fetch it again: sandyq models pull %(name)s")
    status = 503


class ModelUnverified(ModelsError):
    """The card has no digest, and nobody has said yes to the risk."""

    key = "model_unverified"
    message = N_("Nobody could check the file of the model %(name)s for you: its SHA-256 is not known.")
    hint = N_(
        "If you trust where it comes from, add --accept-unverified. "
        "This box then notes its SHA-256 and accepts only the same file."
    )


class ModelToBring(ModelsError):
    key = "model_to_bring"
    message = N_("No address is known for the file of the model %(name)s.")
    hint = N_("Find a .gguf file at %(page)s and bring it: sandyq models pull %(name)s --from PATH")


class SourceUnusable(ModelsError):
    key = "source_unusable"
    message = N_("The model cannot be taken from %(source)s: %(detail)s.")
    hint = N_("Give a .gguf file, a .whl file, a folder or USB stick that holds one, or an https address.")


class DownloadFailed(ModelsError):
    key = "download_failed"
    message = N_("The model could not be downloaded: %(detail)s.")
    hint = N_("Check the link and run the command again, or bring the file on a USB stick: --from PATH")


class DiskFull(ModelsError):
    key = "disk_full"
    message = N_(
        "There is not enough room on the disk: %(needed_mb)d MB are needed, %(free_mb)d MB are free."
    )
    hint = N_("Free some room and run the command again.")


class StoreUnwritable(ModelsError):
    key = "store_unwritable"
    message = N_("The folder %(path)s cannot be written: %(detail)s.")
    hint = N_("Check the disk and who owns the folder.")


class PullRunning(ModelsError):
    key = "pull_running"
    message = N_("Another command is fetching a model right now.")
    hint = N_("Wait until it is done, then try again.")


# --- the engine ---------------------------------------------------------------------------------


class SettingOutOfRange(ModelsError):
    key = "setting_out_of_range"
    message = N_("The engine setting %(name)s is %(value)d; it must lie between %(low)d and %(high)d.")
    hint = N_("Correct it in the settings file and start again.")


class PortTaken(ModelsError):
    key = "port_taken"
    message = N_("The engine cannot listen on %(host)s:%(port)d: %(detail)s.")
    hint = N_("Stop the other program or choose another port with --port.")


class ModelUnloadable(ModelsError):
    key = "model_unloadable"
    message = N_("The model %(name)s could not be loaded: %(detail)s.")
    hint = N_("Choose a smaller model or fetch this one again: sandyq models pull %(name)s")
    status = 503


class EngineRunning(ModelsError):
    key = "engine_running"
    message = N_("The engine is running (%(address)s): measured beside it, every number would be wrong.")
    hint = N_("Stop the engine and measure again.")


class ModelLoading(ModelsError):
    key = "model_loading"
    message = N_("The model is still loading.")
    hint = N_("Try again in a few seconds.")
    status = 503


class EngineStopping(ModelsError):
    key = "engine_stopping"
    message = N_("The engine is being stopped.")
    hint = N_("Ask again in a minute.")
    status = 503


class EngineDied(ModelsError):
    key = "engine_died"
    message = N_("The engine stopped working and is being restarted.")
    hint = N_("Ask again in a minute.")
    status = 503


class EngineAborted(EngineDied):
    """A step hung and was ended."""

    key = "engine_aborted"


class EngineOutOfCells(ModelsError):
    """The worker's business; people see AnswerFailed when it could not be helped."""

    key = "engine_out_of_cells"
    message = N_("The model's memory is full.")
    hint = N_("Ask the question again.")


class EngineRefusedRows(ModelsError):
    """The worker's business, as above."""

    key = "engine_refused_rows"
    message = N_("The engine refused a step: %(detail)s.")
    hint = N_("Ask the question again.")


class AnswerFailed(ModelsError):
    """One request failed; the others go on."""

    key = "answer_failed"
    message = N_("The model could not finish this answer.")
    hint = N_("Ask the question again.")


class QueueFull(ModelsError):
    """`params` also hold `place` and `retry_after_seconds`."""

    key = "queue_full"
    message = N_("Too many questions are waiting already (%(waiting)d).")
    hint = N_("Wait a little and ask again.")
    status = 429


class LearnerBusy(ModelsError):
    """One question being answered and one waiting; `params` as in QueueFull."""

    key = "learner_busy"
    message = N_("Your last question is still waiting for its answer.")
    hint = N_("Wait a little and ask again.")
    status = 429


class PromptTooLong(ModelsError):
    key = "prompt_too_long"
    message = N_("The question is too long: %(prompt_tokens)d tokens, at most %(limit_tokens)d are possible.")
    hint = N_("Make the question shorter.")
    status = 400


class RequestInvalid(ModelsError):
    """The caller's JSON is wrong; `param` names the field."""

    key = "request_invalid"
    message = N_("The request cannot be understood: %(detail)s.")
    hint = N_("Correct the field %(param)s and send it again.")
    status = 400


class RequestUnsupported(ModelsError):
    key = "request_unsupported"
    message = N_("This engine does not support %(param)s%(detail)s.")
    hint = N_("Leave the field out and send the request again.")
    status = 400


class EngineKeyUnusable(ModelsError):
    key = "engine_key_unusable"
    message = N_("The engine's key file %(path)s cannot be used: %(detail)s.")
    hint = N_("Delete the file and restart the box: it makes a new key.")


class KeyUnknown(ModelsError):
    key = "key_unknown"
    message = N_("The engine does not know this key.")
    hint = N_("Send the key of this box, or none.")
    status = 401


class KeyNeeded(ModelsError):
    """Strangers on the machine may ask, but not before the class."""

    key = "key_needed"
    message = N_("%(param)s may be used only with the engine's key.")
    hint = N_("Leave the field out, or send the key of this box.")
    status = 403


class GroupClosed(ModelsError):
    """An exam, most likely. Told before an answer, or in the middle of one."""

    key = "group_closed"
    message = N_("No answers are given to this class now: an exam is being written.")
    hint = N_("Ask again when the teacher has ended the exam.")
    status = 403


class AnswerUnknown(ModelsError):
    """Also told to who guesses: a number of a request is what gives the right to it."""

    key = "answer_unknown"
    message = N_("There is no such answer, or it ended some time ago.")
    hint = N_("Ask the question again.")
    status = 404


class SchemaUnsupported(ModelsError):
    """A grammar that keeps the `response_format` cannot be written."""

    key = "schema_unsupported"
    message = N_("The answer schema cannot be kept: %(detail)s.")
    hint = N_("Make the schema simpler and send the request again.")
    status = 400

    def __init__(self, **params: object) -> None:
        super().__init__(param="response_format", **params)


class RequestTooLarge(ModelsError):
    key = "request_too_large"
    message = N_("The request is larger than %(limit_bytes)d bytes.")
    hint = N_("Send fewer or shorter messages.")
    status = 413


class RouteUnknown(ModelsError):
    key = "route_unknown"
    message = N_("The engine has nothing at %(method)s %(path)s.")
    hint = N_("It answers at /v1/chat/completions, /v1/models, /health and /metrics.")
    status = 404


class ModelNotServed(ModelsError):
    key = "model_not_served"
    message = N_("The engine is not running the model %(name)s.")
    hint = N_("It is running %(served)s; name that one or leave the field out.")
    status = 404


class TemplateAbsent(ModelsError):
    key = "template_absent"
    message = N_("This model was not made for conversations: it has no chat template.")
    hint = N_("Choose a model that ends in “instruct” or “chat”: sandyq models list")
    status = 400


class TemplateRefused(ModelsError):
    key = "template_refused"
    message = N_("The model's chat template does not accept these messages: %(detail)s.")
    hint = N_("Send them as user and assistant messages in turn.")
    status = 400
