"""What a running service counts, for Prometheus: no applicant is in it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from workbench.serving.deployment import Deployment

BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Metrics:
    """Counters of one service, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self.requests = Counter(
            "workbench_requests", "Answered requests for a decision", ["status"], registry=registry
        )
        self.seconds = Histogram(
            "workbench_request_seconds", "From request to answer", buckets=BUCKETS, registry=registry
        )
        self.decisions = Counter(
            "workbench_decisions", "Decisions in the log", ["role", "decision"], registry=registry
        )
        self.reviews = Counter("workbench_reviews", "Decisions sent to a person", registry=registry)
        self.flags = Counter("workbench_flags", "Decisions with a flag", ["flag"], registry=registry)
        self.in_flight = Gauge("workbench_in_flight", "Requests being decided", registry=registry)
        self.log_writable = Gauge(
            "workbench_log_writable", "1: the decision log takes decisions", registry=registry
        )
        self.reloads = Counter("workbench_reloads", "Reloads of the bundles", ["result"], registry=registry)
        self.clock_back = Counter(
            "workbench_clock_went_back", "Times that the clock went back", registry=registry
        )
        self.bundle = Gauge(
            "workbench_bundle", "1 for each bundle in use", ["role", "sha256"], registry=registry
        )
        self.log_writable.set(1)

    def deployed(self, deployment: Deployment) -> None:
        """Say which bundles are in use."""
        self.bundle.clear()
        self.bundle.labels("champion", deployment.champion.sha256).set(1)
        if deployment.canary:
            self.bundle.labels("canary", deployment.canary.sha256).set(1)
        for opened in deployment.shadows:
            self.bundle.labels("shadow", opened.sha256).set(1)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)
