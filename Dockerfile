# The worker in a container: not root, no shell tools needed, fit for a read-only root file system.
#   docker build -t email-ingest .
#   docker run --rm -p 8025:25 -p 8080:8080 email-ingest serve --sandbox

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/ingest
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY ingest ingest
RUN /opt/ingest/bin/pip install --no-cache-dir --no-compile --constraint constraints.txt . \
    && /opt/ingest/bin/python -m compileall -q /opt/ingest/lib

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 ingest \
    && useradd --uid 10001 --gid ingest --no-create-home --home-dir /data --shell /usr/sbin/nologin ingest \
    && install --directory --owner=ingest --group=ingest --mode=0700 /data/var
COPY --from=build /opt/ingest /opt/ingest

# Port 25 without privileges: compose and Kubernetes set the sysctl net.ipv4.ip_unprivileged_port_start=0 for this
# network namespace (Docker's default since 20.10), so that no capability and no root is needed.
ENV PATH=/opt/ingest/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    INGEST_SMTP_LISTEN=0.0.0.0:25 \
    INGEST_HTTP_LISTEN=0.0.0.0:8080 \
    INGEST_SANDBOX_LISTEN=0.0.0.0:8026 \
    INGEST_DATABASE_URL=sqlite:////data/var/ingest.db \
    INGEST_LOG_FORMAT=json

WORKDIR /data
USER 10001:10001
VOLUME /data/var
EXPOSE 25 8080 8026
STOPSIGNAL SIGTERM

# Alive means: the event loop answers within a few seconds. Readiness (/readyz) is the balancer's question.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['INGEST_HTTP_LISTEN'].rpartition(':')[2] + '/healthz', timeout=4)"]

ENTRYPOINT ["ingest"]
CMD ["serve"]
