# One file, a target per service: docker build --target tts -t onair-tts .
# Each image holds its service's own dependencies, the contract, the runtime and the service's own folder; nothing else.
# Works with BuildKit and with the classic builder.

FROM python:3.11-slim-bookworm AS base
ENV PATH=/onair/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONFAULTHANDLER=1
WORKDIR /onair
# /data belongs to the user, so that a new volume on it does, too.
RUN groupadd --gid 10001 onair \
 && useradd --uid 10001 --gid onair --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin onair \
 && mkdir -p /data/run && chown -R onair:onair /data
ENV ONAIR_CONFIG=/config/onair.yaml ONAIR_DATA=/data HEALTH_HOST=0.0.0.0 ONAIR_WAIT=1
HEALTHCHECK --interval=5s --timeout=5s --start-period=15s --retries=3 \
  CMD ["python", "-m", "services.runtime.probe", "/data/run"]
LABEL org.opencontainers.image.title="OnAir" org.opencontainers.image.licenses="Apache-2.0"

# The locked dependencies, made where they will lie; uv itself stays here.
FROM base AS uv
ENV UV_NATIVE_TLS=1 UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1
RUN python -m pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore "uv==0.13.8"
COPY pyproject.toml uv.lock ./

FROM uv AS code
COPY LICENSE ./
COPY services services
RUN python -m compileall -q --invalidation-mode unchecked-hash services

# What every image holds besides its own.
FROM base AS shared
COPY --from=code /onair/LICENSE ./
COPY --from=code /onair/services/__init__.py services/
COPY --from=code /onair/services/contract services/contract
COPY --from=code /onair/services/runtime services/runtime

FROM uv AS asr-packages
RUN uv sync -q --locked --no-install-project --no-default-groups --extra asr
FROM base AS asr
COPY --from=asr-packages /onair/.venv .venv
COPY --from=shared /onair ./
COPY --from=code /onair/services/asr services/asr
USER 10001:10001
CMD ["python", "-m", "services.asr"]

FROM uv AS llm-packages
RUN uv sync -q --locked --no-install-project --no-default-groups --extra llm
FROM base AS llm
COPY --from=llm-packages /onair/.venv .venv
COPY --from=shared /onair ./
COPY --from=code /onair/services/llm services/llm
USER 10001:10001
CMD ["python", "-m", "services.llm"]

FROM uv AS tts-packages
RUN uv sync -q --locked --no-install-project --no-default-groups --extra tts
# The package espeakng-loader brings espeak-ng, which is under the GPL: whoever passes this image on does so under its terms.
FROM base AS tts
LABEL org.opencontainers.image.licenses="Apache-2.0 AND GPL-3.0-or-later"
COPY --from=tts-packages /onair/.venv .venv
COPY --from=shared /onair ./
COPY --from=code /onair/services/tts services/tts
USER 10001:10001
CMD ["python", "-m", "services.tts"]

FROM uv AS gateway-packages
RUN uv sync -q --locked --no-install-project --no-default-groups --extra gateway
FROM base AS gateway
COPY --from=gateway-packages /onair/.venv .venv
COPY --from=shared /onair ./
COPY --from=code /onair/services/gateway services/gateway
ENV GATEWAY_HOST=0.0.0.0 GATEWAY_PORT=8000
EXPOSE 8000
USER 10001:10001
CMD ["python", "-m", "services.gateway"]

FROM uv AS ingest-packages
# `daily`: conversations of Daily too, 42 MB more.
ARG INGEST_EXTRA
RUN uv sync -q --locked --no-install-project --no-default-groups --extra ingest ${INGEST_EXTRA:+--extra $INGEST_EXTRA}
FROM base AS ingest
COPY --from=ingest-packages /onair/.venv .venv
COPY --from=shared /onair ./
COPY --from=code /onair/services/ingest services/ingest
USER 10001:10001
CMD ["python", "-m", "services.ingest"]

FROM uv AS avatar-packages
RUN uv sync -q --locked --no-install-project --no-default-groups --extra avatar
FROM base AS avatar
COPY --from=avatar-packages /onair/.venv .venv
COPY --from=shared /onair ./
COPY --from=code /onair/services/avatar services/avatar
USER 10001:10001
CMD ["python", "-m", "services.avatar"]

