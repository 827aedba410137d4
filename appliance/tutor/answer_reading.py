"""Read along while the engine writes one answer, and decide what of it a learner sees.

The gate stands between the engine's pieces and the board; of a choice only its letter is read. Keeps out the
tables, the threads, and whether a question may be answered at all (`assistant`).
"""

import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from appliance import languages
from appliance.engine_client import EngineClient, Piece
from appliance.lesson.live import LiveBoard
from appliance.lesson.questions import Answer, Decision, Question
from appliance.tutor import doubts, hints, moves, tutoring
from appliance.tutor.tutoring import Plan


class Reader:
    """The reading side of one engine."""

    def __init__(self, client: EngineClient, board: LiveBoard, model_languages: tuple[str, ...]) -> None:
        self._client = client
        self._board = board
        self._model_languages = model_languages

    def read(
        self, question: Question, plan: Plan, request: dict[str, Any], draft: Answer, stop: threading.Event
    ) -> Answer | None:
        """Return the finished answer, or None when it was stopped.

        Raises:
            EngineUnreachable, AnswerFailed: as the engine's client says.
        """
        read = self._read_choice if plan.menu else self._read_text
        return read(question, plan, request, draft, stop)

    def _read_text(
        self, question: Question, plan: Plan, request: dict[str, Any], draft: Answer, stop: threading.Event
    ) -> Answer | None:
        """Follow the stream; the gate reads every piece before the board gets it."""
        gate, text, end = plan.gate, "", Piece()
        for piece in self._client.send(request):
            if stop.is_set():
                return None
            if piece.text:
                shown = gate.feed(piece.text) if gate else piece.text
                text += shown
                if shown:
                    self._board.append(question.id, shown)
                if gate and gate.tripped:
                    break  # the stream closes: the engine need not finish what nobody will see
            elif piece.place is not None and not text:
                self._board.set_place(question.id, piece.place, piece.estimate_seconds)
            end = piece
        text += gate.finish() if gate else ""
        decisions = list(draft.decisions)
        if gate and gate.tripped:
            decisions.append(Decision(f"gate_{gate.tripped}", "held_back"))
            text = f"{_whole_sentences(text)}\n\n{_say(question, plan.hint, plan)}".strip()
        else:
            speaks = question.language in self._model_languages
            doubt = doubts.find_doubt(text, question.language, speaks=speaks)
            if doubt is not None:
                decisions.append(Decision("doubt", doubt))
                text = text if doubt != doubts.EMPTY else _say(question, plan.hint, plan)
        return replace(
            draft,
            outcome="answered",
            text=text.strip(),
            duration_ms=since(question),
            answer_tokens=end.answer_tokens,
            decisions=tuple(decisions),
        )

    def _read_choice(
        self, question: Question, plan: Plan, request: dict[str, Any], draft: Answer, stop: threading.Event
    ) -> Answer | None:
        """Follow the stream for the letter of a hint: nothing else that a model writes here is ever seen."""
        text, end = "", Piece()
        for piece in self._client.send(request):
            if stop.is_set():
                return None
            text += piece.text
            if len(text) > moves.MAX_CHOICE_CHARACTERS:
                break
            if piece.place is not None and not text:
                self._board.set_place(question.id, piece.place, piece.estimate_seconds)
            end = piece
        chosen = moves.read_choice(text, plan.menu) if plan.menu else None
        if chosen is None or plan.menu is None:
            return authored(question, plan, Decision("no_choice", "authored_hint"))
        return replace(
            draft,
            outcome="answered",
            text=_say(question, plan.menu.sentence(chosen), plan),
            duration_ms=since(question),
            answer_tokens=end.answer_tokens,
            decisions=(*draft.decisions, tutoring.moved(chosen, plan.rung)),
        )


def authored(question: Question, plan: Plan, *more: Decision) -> Answer:
    """Return the box's own hint as the answer: no model, no request."""
    # The first of a menu has been met then, so the box goes on from there.
    first = (tutoring.moved(plan.menu.letters[0], plan.rung),) if plan.menu else ()
    return Answer(
        "answered",
        text=_say(question, plan.hint, plan),
        duration_ms=since(question),
        decisions=(*plan.decisions, *more, *first),
    )


def _say(question: Question, sentence: str, plan: Plan) -> str:
    translated = languages.translations(question.language).gettext(sentence)
    return translated % {"step": hints.shown_step(plan.step)}


def _whole_sentences(text: str) -> str:
    """Return a text without the sentence that was cut off: "the answer is" helps nobody."""
    return text[: max(text.rfind(mark) for mark in ".!?\n") + 1].rstrip()


def since(question: Question) -> int:
    return int((datetime.now(UTC) - question.asked_at).total_seconds() * 1000)
