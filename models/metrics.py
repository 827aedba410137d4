"""The engine's figures for Prometheus. Numbers only: no text, no names, no addresses."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

# From a quick step of a small model to the first token behind a long queue.
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60, 120)


class EngineMetrics:
    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "sandyq_engine_requests", "Requests that ended, by how.", ["outcome"], registry=registry
        )
        self.closed = Counter(
            "sandyq_engine_closed_refusals",
            "Requests and streams refused because their class is closed.",
            registry=registry,
        )
        self.prompt_tokens = Counter(
            "sandyq_engine_prompt_tokens", "Prompt tokens decoded.", registry=registry
        )
        self.shared_tokens = Counter(
            "sandyq_engine_shared_tokens", "Prompt tokens that were in memory already.", registry=registry
        )
        self.answer_tokens = Counter(
            "sandyq_engine_answer_tokens", "Answer tokens chosen.", registry=registry
        )
        self.guesses = Counter(
            "sandyq_engine_guesses", "Guessed tokens of a lone answer.", ["came_true"], registry=registry
        )
        self.wait_seconds = Histogram(
            "sandyq_engine_wait_seconds", "Arrival to seat.", buckets=_SECONDS, registry=registry
        )
        self.first_token_seconds = Histogram(
            "sandyq_engine_first_token_seconds",
            "Arrival to first token.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.step_seconds = Histogram(
            "sandyq_engine_step_seconds", "One decode with its sampling.", buckets=_SECONDS, registry=registry
        )
        self.active = Gauge("sandyq_engine_active_sequences", "Requests with a seat.", registry=registry)
        self.paused = Gauge(
            "sandyq_engine_paused_sequences", "Answers that let others go first.", registry=registry
        )
        self.waiting = Gauge("sandyq_engine_waiting_requests", "Requests that wait.", registry=registry)
        self.cells = Gauge("sandyq_engine_cells", "Cells of the model's memory.", registry=registry)
        self.cells_reserved = Gauge(
            "sandyq_engine_cells_reserved", "Cells used by and promised to requests.", registry=registry
        )
        self.cells_kept = Gauge(
            "sandyq_engine_cells_kept", "Cells of lessons and finished answers.", registry=registry
        )

    def text(self) -> bytes:
        return generate_latest(self.registry)
