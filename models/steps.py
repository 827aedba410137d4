"""What the engine's thread does, over and over: read messages, seat, decode, sample, hand out text.

A fault of one request fails that request. Who is next and what is shared is the scheduler's to say; the
engine only follows its books.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from queue import Empty, SimpleQueue

from models.calibration import Dials
from models.errors import AnswerFailed, EngineOutOfCells, EngineRefusedRows
from models.estimate import Speeds, Turn, answer_limit
from models.fairness import SLICE_CHARACTERS
from models.guess import guess_next
from models.memory import Share
from models.metrics import EngineMetrics
from models.prefix_files import PrefixFiles
from models.protocol import Engine, Priority, Span
from models.scheduler import Scheduler
from models.seats import READING_ROWS, Request, Slot
from models.tickets import Event, Failed, Finished, Text, Ticket
from models.tuning import Tuner

# Places and forecasts are worth telling no more often.
FORECAST_SECONDS = 1.0


class Steps:
    """What the engine's thread does, over and over."""

    def __init__(
        self,
        engine: Engine,
        inbox: SimpleQueue[Ticket | int | None],
        metrics: EngineMetrics,
        forget: Callable[[int], None],
        tell_wait: Callable[[float], None],
        tuner: Tuner | None = None,
        watch: Callable[[int], AbstractContextManager[None]] = lambda _rows: nullcontext(),
        *,
        files: PrefixFiles | None = None,
    ) -> None:
        self._engine = engine
        self._vocabulary = engine.vocabulary
        self._inbox = inbox
        self._metrics = metrics
        self._forget = forget
        self._tell_wait = tell_wait
        self._files = files
        self._tuner = tuner
        self._watch = watch
        self._speeds = Speeds()
        self._wait_seconds = 0.0
        self._forecast_at = 0.0
        self._scheduler = Scheduler(
            engine.answers, engine.sequences, engine.cells, divisible=engine.divisible
        )
        if tuner is not None:
            self._turn(tuner.dials)
        self._tickets: dict[int, Ticket] = {}  # by number
        self._seated: dict[int, Ticket] = {}  # by sequence
        self._news: list[tuple[Ticket, Event]] = []  # handed out when the step is over
        metrics.cells.set(engine.cells)

    def run(self) -> None:
        while self._read_inbox():
            if self._scheduler.sweep():
                self._empty_the_bin()
            self._seat()
            for spans in self._scheduler.plans():
                self._step(self._with_company(spans))
            if time.monotonic() - self._forecast_at >= FORECAST_SECONDS:
                self._count()

    def left(self) -> list[Ticket]:
        """The requests that were not finished when the engine died."""
        return list(self._tickets.values())

    def _read_inbox(self) -> bool:
        """Take all messages; wait for one only when there is nothing to do. False = stop."""
        changed = False
        while True:
            if self._scheduler.is_idle() and self._inbox.empty():
                self._empty_bin()
                self._engine.tidy()
                self._save_lesson()
            try:
                message = self._inbox.get(block=self._scheduler.is_idle())
            except Empty:
                if changed:
                    self._count()
                return True
            if message is None:
                return False
            if isinstance(message, Ticket):
                self._tickets[message.number] = message
                self._load_lesson(list(message.order.prompt))
                self._scheduler.arrive(_request(message))
                changed = True
                continue
            ticket = self._tickets.get(message)
            if ticket is not None:
                self._leave(ticket, "cancelled")
                # Counted now and not below: the inbox may be waited on next.
                self._count()

    def _empty_bin(self) -> None:
        if self._scheduler.memory.forget_finished_below_holes():
            self._empty_the_bin()

    def _empty_the_bin(self) -> None:
        self._apply_changes()
        self._engine.empty_bin()
        self._count()

    def _save_lesson(self) -> None:
        """One that was shared, and only while nobody waits: writing takes a moment."""
        lessons = self._scheduler.memory.shelf.lessons() if self._files else []
        lesson = next((kept for kept in lessons if kept.uses > 1 and not kept.is_saved), None)
        if self._files is not None and lesson is not None:
            lesson.is_saved = True
            self._files.save(self._engine, lesson.sequence, lesson.tokens)

    def _load_lesson(self, prompt: list[int]) -> None:
        """What was read before the last restart need not be read again."""
        lesson = self._files.find(prompt, self._scheduler.find_shared(prompt)) if self._files else None
        if self._files is None or lesson is None:
            return
        sequence = self._scheduler.memory.adopt_lesson(lesson.tokens)
        self._apply_changes()
        if sequence is not None and not self._files.load(self._engine, sequence, lesson):
            self._scheduler.memory.forget(sequence)
            self._apply_changes()

    def _seat(self) -> None:
        seated = self._scheduler.admit(time.monotonic())
        self._apply_changes()
        for slot in seated:
            ticket = self._tickets[slot.request.number]
            self._seated[slot.sequence] = ticket
            self._engine.begin(slot.sequence, ticket.order.sampling)
            ticket.place = 0
            if ticket.order.priority is not Priority.TEACHER:
                ticket.max_characters = answer_limit(ticket.max_characters, self._wait_seconds)
            ticket.started = time.monotonic()
            self._metrics.wait_seconds.observe(ticket.started - ticket.arrived)
            self._metrics.shared_tokens.inc(slot.shared)
        if seated:
            self._count()

    def _apply_changes(self) -> None:
        """The engine follows the books."""
        for change in self._scheduler.memory.take_changes():
            if isinstance(change, Share):
                self._engine.share(change.source, change.target, change.tokens)
            else:
                self._engine.free(change.sequence)

    def _count(self) -> None:
        scheduler = self._scheduler
        waiting = scheduler.queue(time.monotonic())
        self._forecast(waiting)
        self._metrics.active.set(scheduler.active)
        self._metrics.paused.set(len(scheduler.paused))
        self._metrics.waiting.set(len(waiting))
        kept = scheduler.memory.kept_cells
        self._metrics.cells_kept.set(kept)
        self._metrics.cells_reserved.set(scheduler.memory.account.reserved - kept)

    def _forecast(self, waiting: Sequence[Request]) -> None:
        """Tell those who wait their place and how long it will take."""
        scheduler, speeds = self._scheduler, self._speeds
        running = [Turn(slot.prompt_left, slot.tokens_left) for slot in scheduler.slots]
        turns = [Turn(scheduler.rows_to_read(request), request.max_tokens) for request in waiting]
        nobody = Turn(0, 1)  # would come now
        seconds = speeds.forecast(running, [*turns, nobody], scheduler.rows, SLICE_CHARACTERS)
        for place, (request, wait) in enumerate(zip(waiting, seconds, strict=False), start=1):
            ticket = self._tickets[request.number]
            ticket.place, ticket.estimate_seconds = place, wait
        for slot in scheduler.slots:
            if slot.prompt_left > 0:
                ticket = self._tickets[slot.request.number]
                ticket.estimate_seconds = speeds.reading_seconds(slot.prompt_left)
        self._wait_seconds = seconds[-1] if waiting else 0.0
        self._tell_wait(self._wait_seconds)
        weight = speeds.typed_weight(scheduler.active)
        if weight is not None:
            scheduler.fairness.typed_weight = weight
        self._forecast_at = time.monotonic()

    def _with_company(self, spans: Sequence[Span]) -> Sequence[Span]:
        """Let nobody's row be alone: beside it goes a guess of what comes next.

        With several threads, llama.cpp adds up a lone row in another order than one in company, and an answer
        would depend on who else asks (decision 0033). A guess that comes true pays for its row.
        """
        (span, *others) = spans
        if others or len(span.tokens) > 1 or self._engine.threads == 1 or not self._engine.divisible:
            return spans
        # The last token's guess has a cell: room was promised for all tokens, and the last is never read.
        slot = self._scheduler.find_slot(span.sequence)
        if not self._scheduler.is_written(span.sequence):
            return spans
        return [replace(span, tokens=[*span.tokens, guess_next(slot.tokens)], guesses=1)]

    def _step(self, spans: Sequence[Span]) -> None:
        began = time.monotonic()
        try:
            self._decode(spans)
        except EngineOutOfCells:
            # The account says this cannot be; if it is, the least and newest pays and the rest go on.
            self._fail(max(self._scheduler.slots, key=lambda slot: (slot.turn_priority, slot.request.number)))
        except EngineRefusedRows:
            self._step_one_by_one(spans)
        else:
            self._note_speed(spans, time.monotonic() - began)
            self._harvest(spans)
        self._metrics.step_seconds.observe(time.monotonic() - began)
        # Handed out only now: every reader we wake wants Python's lock, which sampling would have to win
        # back for each sequence; the next decode gives it away for a long time anyway.
        for ticket, event in self._news:
            ticket.events.put(event)
        self._news.clear()

    def _decode(self, spans: Sequence[Span]) -> None:
        try:
            self._run_step(spans)
        except EngineOutOfCells:
            # Whatever nobody runs on goes first.
            self._scheduler.memory.empty_shelf()
            self._apply_changes()
            self._run_step(spans)

    def _run_step(self, spans: Sequence[Span]) -> None:
        with self._watch(sum(len(span.tokens) for span in spans)):
            self._engine.decode(spans)

    def _turn(self, dials: Dials) -> None:
        """Set what the tuner says; answers above a new limit are written to their end."""
        self._engine.set_threads(dials.threads)
        self._scheduler.rows, self._scheduler.step_rows = dials.answers, dials.step_rows

    def _note_speed(self, spans: Sequence[Span], seconds: float) -> None:
        rows = sum(len(span.tokens) for span in spans)
        memory = self._scheduler.memory
        past = sum(len(span.tokens) * span.position for span in spans) / rows
        cells = memory.account.used + memory.binned
        # The machine was not measured with tiles; between the others' steps they would look like a drift.
        tuner = self._tuner if rows < READING_ROWS else None
        dials = tuner.note_step(rows, seconds, past, cells) if tuner else None
        if dials is not None:
            self._turn(dials)
        prompt_rows = sum(len(span.tokens) for span in spans if not self._scheduler.is_written(span.sequence))
        answers = sum(self._scheduler.is_written(span.sequence) for span in spans)
        self._speeds.note_step(answers, prompt_rows, seconds)

    def _step_one_by_one(self, spans: Sequence[Span]) -> None:
        """One request's rows are bad: find it, so that only it fails."""
        for span in spans:
            try:
                self._run_step([span])
            except (EngineRefusedRows, EngineOutOfCells):
                self._fail(self._scheduler.find_slot(span.sequence))
            else:
                self._harvest([span])

    def _harvest(self, spans: Sequence[Span]) -> None:
        """The spans are decoded: choose the next tokens and hand out the text."""
        for span in spans:
            if span.guesses:
                self._harvest_guess(span)
                continue
            self._scheduler.advance(span)
            if span.wants_token:
                self._take_token(span.sequence, self._engine.sample(span.sequence))

    def _harvest_guess(self, span: Span) -> None:
        """One token, and a second where the guess came true."""
        sequence, (*known, guess) = span.sequence, span.tokens
        token = self._engine.sample(sequence)
        came_true = token == guess and not self._vocabulary.is_end(token)
        if not came_true:
            self._engine.trim(sequence, span.position + len(known))
        self._metrics.guesses.labels("true" if came_true else "false").inc()
        self._scheduler.advance(replace(span, tokens=known, guesses=0))
        self._take_token(sequence, token)
        # The first may have been the answer's end; the engine forgets the second with the sequence.
        if came_true and sequence in self._seated:
            self._scheduler.advance(Span(sequence, span.position + len(known), [guess], wants_token=True))
            self._take_token(sequence, self._engine.sample(sequence, 1))

    def _take_token(self, sequence: int, token: int) -> None:
        ticket = self._seated[sequence]
        if not ticket.first_token:
            ticket.first_token = time.monotonic()
            self._metrics.first_token_seconds.observe(ticket.first_token - ticket.arrived)
            ticket.estimate_seconds = 0.0
            self._metrics.prompt_tokens.inc(len(ticket.order.prompt))
        if self._vocabulary.is_end(token):
            self._finish(ticket, "stop")
            return
        ticket.tokens += 1
        text = ticket.answer.feed(self._vocabulary.piece(token))
        if text:
            self._news.append((ticket, Text(text)))
        ticket.characters += len(text)
        may_go_on = self._scheduler.answer(sequence, token, len(text))
        if ticket.answer.stopped:
            self._finish(ticket, "stop")
        elif not may_go_on or 0 < ticket.max_characters <= ticket.characters:
            self._finish(ticket, "length")

    def _finish(self, ticket: Ticket, reason: str) -> None:
        rest = ticket.answer.finish()
        if rest:
            self._news.append((ticket, Text(rest)))
        self._metrics.answer_tokens.inc(ticket.tokens)
        self._speeds.note_answer(ticket.tokens, ticket.characters)
        self._leave(ticket, reason, keep=True)
        self._count()
        waited, first = ticket.started - ticket.arrived, ticket.first_token - ticket.arrived
        end = Finished(reason, len(ticket.order.prompt), ticket.tokens, waited, first)
        self._news.append((ticket, end))

    def _fail(self, slot: Slot) -> None:
        ticket = self._tickets[slot.request.number]
        self._leave(ticket, "failed")
        self._count()
        self._news.append((ticket, Failed(AnswerFailed())))

    def _leave(self, ticket: Ticket, outcome: str, *, keep: bool = False) -> None:
        """Give back everything the request held, in the engine and in the books."""
        slot = self._scheduler.leave(ticket.number, keep=keep)
        self._apply_changes()
        if slot is not None:
            del self._seated[slot.sequence]
        del self._tickets[ticket.number]
        self._forget(ticket.number)
        self._metrics.requests.labels(outcome).inc()


def _request(ticket: Ticket) -> Request:
    order = ticket.order
    return Request(
        ticket.number,
        list(order.prompt),
        ticket.max_tokens,
        learner=order.learner,
        priority=order.priority,
        prefix_tokens=min(order.prefix_tokens, len(order.prompt) - 1),
        head_tokens=order.head_tokens,
        characters=ticket.typed,
        is_whole_prompt=not order.characters,
        arrived=ticket.arrived,
    )
