FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml setup.py README.md LICENSE ./
COPY tconnectsync ./tconnectsync
RUN python -m venv /opt/tconnectsync && /opt/tconnectsync/bin/pip install --no-cache-dir . \
    && /opt/tconnectsync/bin/pip uninstall --yes pip setuptools

FROM python:3.12-slim
# A volume for the cache takes over the owner of the folder that it finds.
RUN useradd --create-home --uid 1000 tconnectsync \
    && install --directory --owner tconnectsync --mode 700 /home/tconnectsync/.cache
COPY --from=build /opt/tconnectsync /opt/tconnectsync
USER tconnectsync
WORKDIR /home/tconnectsync
ENV PATH=/opt/tconnectsync/bin:$PATH PYTHONUNBUFFERED=1
ENTRYPOINT ["tconnectsync"]
