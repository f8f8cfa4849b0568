"""What a Prometheus server asks: how the queue, the workers and the answers are doing."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from layerflow.server.guard import METHODS
from layerflow.server.service import Service
from layerflow.server.streams import Streams

_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The figures of one server."""

    def __init__(self, service: Service, streams: Streams) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "layerflow_requests",
            "Requests that were answered, by the template of their address.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "layerflow_request_seconds",
            "Time until an answer began.",
            ("route",),
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._registry.register(_Now(service, streams))
        ProcessCollector(registry=self._registry)

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one answer."""
        self._requests.labels(method if method in METHODS else "other", route, status).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """All figures as they are now, in Prometheus' text format. Raises StoreError."""
        return generate_latest(self._registry)


class Counted:
    """`app`, every answer of which is counted."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        began = time.perf_counter()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                self._metrics.note(scope["method"], route, message["status"], time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, counted)


class _Now(Collector):
    """What is read at the moment it is asked for."""

    def __init__(self, service: Service, streams: Streams) -> None:
        self._service, self._streams = service, streams

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """The queue, the workers and the streams. Raises StoreError."""
        counts = self._service.store.counts()
        jobs = GaugeMetricFamily("layerflow_jobs", "Jobs that the server knows.", labels=["state"])
        for state, count in counts.items():
            jobs.add_metric([state], count)
        yield jobs
        waiting = counts["queued"] + counts["paused"]
        yield GaugeMetricFamily("layerflow_jobs_waiting", "Jobs queued or paused: the length of the queue.", waiting)
        most = self._service.store.max_waiting
        yield GaugeMetricFamily("layerflow_jobs_waiting_limit", "Jobs that may be queued or paused.", most)
        yield GaugeMetricFamily("layerflow_streams", "Streams of events that are open.", self._streams.num_open)
        yield from self._workers()

    def _workers(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        up = GaugeMetricFamily("layerflow_worker_up", "Whether the device has a worker process.", labels=["device"])
        restarts = CounterMetricFamily("layerflow_worker_restarts", "Workers that were replaced.", labels=["device"])
        for post in self._service.supervisor.posts if self._service.supervisor else ():
            up.add_metric([post.device], float(post.process is not None and post.process.poll() is None))
            restarts.add_metric([post.device], post.restarts)
        yield up
        yield restarts
