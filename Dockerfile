FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml setup.py README.md LICENSE requirements.lock ./
COPY tconnectsync ./tconnectsync
RUN python -m venv /opt/tconnectsync \
    && /opt/tconnectsync/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
    && /opt/tconnectsync/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
    && /opt/tconnectsync/bin/pip uninstall --yes pip setuptools

FROM python:3.12-slim
LABEL org.opencontainers.image.title="tconnectsync" \
      org.opencontainers.image.description="Copies what a Tandem insulin pump did into Nightscout" \
      org.opencontainers.image.version="2026.12.0" \
      org.opencontainers.image.licenses="MIT"
# A volume for the cache takes over the owner of the folder that it finds.
RUN useradd --create-home --uid 1000 tconnectsync \
    && install --directory --owner tconnectsync --mode 700 /home/tconnectsync/.cache
COPY --from=build /opt/tconnectsync /opt/tconnectsync
# By its number, so that others can see that it is not root.
USER 1000:1000
WORKDIR /home/tconnectsync
ENV HOME=/home/tconnectsync PATH=/opt/tconnectsync/bin:$PATH PYTHONUNBUFFERED=1
# Without a volume the login to Tandem, and the list of missing data, are lost with the container:
# docker run --volume tconnectsync-cache:/home/tconnectsync/.cache ...
HEALTHCHECK --interval=5m --timeout=30s --start-period=10m CMD ["tconnectsync", "--status"]
ENTRYPOINT ["tconnectsync"]
