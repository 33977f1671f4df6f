# The service, the indexer and the demo gallery in one image.
#
#   docker build -t selvedge .                               CPU
#   docker build -t selvedge:cuda --build-arg VARIANT=cuda . NVIDIA GPU (run with --gpus all)
#
#   docker run --rm -v gallery:/gallery -v ./photos:/photos:ro selvedge \
#     python -m indexer build /photos --index /gallery/index
#   docker run --rm -v gallery:/gallery -p 127.0.0.1:8000:8000 selvedge
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# --- build: the environment, from the same script and lists as `make` ---------------------------
FROM ${PYTHON_IMAGE} AS build
ARG VARIANT=cpu
# `milvus` for a gallery on a Milvus server (docker-compose.cluster.yml).
ARG EXTRAS=
# A mirror of PyTorch's CPU index, where there is one; the default is PyTorch's own.
ARG TORCH_INDEX=
ENV SELVEDGE_VARIANT=${VARIANT} \
    SELVEDGE_TORCH_INDEX=${TORCH_INDEX} \
    PIP_NO_CACHE_DIR=1
WORKDIR /src

# The packages first: this layer is kept until the lists change.
COPY pyproject.toml ./
COPY constraints constraints
COPY scripts/install scripts/install
RUN scripts/install --venv /opt/venv --dependencies-only ${EXTRAS:+--$EXTRAS}

COPY README.md LICENSE NOTICE ./
COPY model model
COPY indexer indexer
COPY service service
COPY stitch stitch
RUN /opt/venv/bin/python -m pip install --no-deps --no-build-isolation . \
    && /opt/venv/bin/python -m pip uninstall --yes pip

# --- the image that runs ------------------------------------------------------------------------
FROM ${PYTHON_IMAGE}
ARG VARIANT=cpu
LABEL org.opencontainers.image.title="selvedge" \
      org.opencontainers.image.description="Self-hosted visual search for fashion" \
      org.opencontainers.image.licenses="Apache-2.0" \
      io.selvedge.variant="${VARIANT}"

RUN groupadd --gid 10001 selvedge \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp selvedge \
    && mkdir /gallery /photos \
    && chown selvedge:selvedge /gallery
COPY --from=build /opt/venv /opt/venv
COPY LICENSE NOTICE /usr/share/doc/selvedge/

# Nothing is written outside /gallery and /tmp, so the root may be read-only.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /tmp
USER 10001:10001
VOLUME /gallery
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["python", "-m", "service", "--index", "/gallery/index", "--host", "0.0.0.0", "--port", "8000"]
