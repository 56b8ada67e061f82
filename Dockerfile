# syntax=docker/dockerfile:1
# Server and worker: `docker build -t remembr-server .`, then `serve` or `worker`. The model is inside.
FROM python:3.11-slim-bookworm AS build
# Maven fetches the model.
RUN apt-get update && apt-get install --yes --no-install-recommends maven && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir "uv>=0.9,<1" && uv venv /opt/remembr
WORKDIR /source
COPY requirements.lock ./
# torch for processors alone, which leaves out four gigabytes of CUDA; everything else by its hash.
RUN version="$(sed -n 's/^torch==\([^ ]*\).*/\1/p' requirements.lock)" \
    && uv pip install --no-cache --python /opt/remembr --torch-backend=cpu "torch==$version" \
    && awk '/^[a-z0-9]/ {kept = !/^(torch|triton|nvidia-|cuda-)/} kept' requirements.lock > without-torch.lock \
    && uv pip install --no-cache --python /opt/remembr --require-hashes --no-deps -r without-torch.lock
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY app app
COPY workers workers
COPY index_templates index_templates
RUN uv pip install --no-cache --python /opt/remembr --no-deps . \
    && REMEMBR_CACHE_DIR=/opt/remembr/cache /opt/remembr/bin/python -c \
    "from app.embedding.weights import e5_files; from app.settings import Settings; e5_files(Settings().cache_dir)"

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin remembr
COPY --from=build /opt/remembr /opt/remembr
ENV PATH=/opt/remembr/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    REMEMBR_CACHE_DIR=/opt/remembr/cache \
    REMEMBR_DATA_DIR=/tmp/remembr \
    REMEMBR_HOST=0.0.0.0
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["remembr-server"]
CMD ["serve"]
