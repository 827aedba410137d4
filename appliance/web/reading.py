"""A learner's own choices of letters, size and contrast, and the voice that reads aloud."""

import io

from flask import Blueprint, redirect, render_template, send_file, url_for
from flask.typing import ResponseReturnValue

from appliance import languages
from appliance.database import saving
from appliance.errors import NothingToSay
from appliance.lesson import questions
from appliance.people import accommodations, conduct, roster, speech
from appliance.web.context import accommodation, db, form, language, learner

pages = Blueprint("reading", __name__)

# Older answers than these are on no page.
QUESTIONS_READ = 20


@pages.get("/reading")
def show() -> ResponseReturnValue:
    reader = learner()
    if reader is None:
        return redirect(url_for("entry.first"), 303)
    return render_template("reading.html", learner=reader, needs=accommodation(), choices=accommodations)


@pages.post("/reading")
def save() -> ResponseReturnValue:
    reader = learner()
    if reader is None:
        return redirect(url_for("entry.first"), 303)
    with saving(db()):
        needs = accommodations.find(db(), reader.id)
        accommodations.save(db(), reader.id, accommodations.from_form(form(), needs, by_teacher=False))
    return redirect(url_for("reading.show"), 303)


@pages.get("/speech/answer/<question_id>")
def say_answer(question_id: str) -> ResponseReturnValue:
    """Read a finished answer to the learner whose question it was, and to nobody else."""
    reader = learner()
    if reader is None:
        raise NothingToSay
    own = {question.id: question for question in questions.of_learner(db(), reader.id, newest=QUESTIONS_READ)}
    question = own.get(question_id)
    if question is None or question.is_open or not question.answer:
        raise NothingToSay
    return _sound(question.answer, question.language)


@pages.get("/speech/rules")
def say_rules() -> ResponseReturnValue:
    reader = learner()
    if reader is None:
        raise NothingToSay
    own = roster.get_school_class(db(), reader.school_class_id)
    said = [languages.render(language(), sentence, {}) for rule in conduct.RULES for sentence in rule]
    return _sound(" ".join([*said, own.own_rules]), language())


def _sound(text: str, spoken: str) -> ResponseReturnValue:
    # Ranges let a browser move in the sound; nothing is kept, neither here nor there.
    sound = io.BytesIO(speech.speak(text, spoken))
    answer = send_file(sound, mimetype="audio/wav", conditional=True)
    answer.headers["Cache-Control"] = "no-store"  # Flask would let the browser keep it
    return answer
