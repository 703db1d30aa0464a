"""Health and metrics on the gateway's own port: `/healthz`, `/readyz`, `/metrics`."""

import prometheus_client
from fastapi import APIRouter, Response

from services.runtime.health import Health


def router(health: Health) -> APIRouter:
    """The three pages."""
    routes = APIRouter(tags=["health"])

    def healthz() -> Response:
        """Whether the process lives."""
        return _told(health, good=health.alive)

    def readyz() -> Response:
        """Whether it can work; the problems by part."""
        return _told(health, good=health.ready and health.alive)

    def metrics() -> Response:
        """What is counted, in Prometheus' text format."""
        return Response(prometheus_client.generate_latest(), media_type=prometheus_client.CONTENT_TYPE_LATEST)

    for page in (healthz, readyz, metrics):
        routes.add_api_route(f"/{page.__name__}", page, methods=["GET"], response_model=None)
    return routes


def _told(health: Health, *, good: bool) -> Response:
    return Response(health.body(), 200 if good else 503, media_type="application/json")
