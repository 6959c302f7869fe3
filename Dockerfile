# The steps of the README in an image.
#   docker build -t tonsai .                 docker run --rm tonsai tonsai demo
#   docker run --rm -p 127.0.0.1:3000:3000 -v "$PWD/data:/data" tonsai dagster dev -h 0.0.0.0
# On GPUs, the same image: torch's wheels bring CUDA, the machine its driver.
#   docker run --rm --gpus all -v "$PWD/data:/data" tonsai tonsai run --recipe /data/my.yaml
# On a CUDA base, for a compiler of kernels of your own:
#   docker build --build-arg BASE=nvidia/cuda:12.8.1-devel-ubuntu24.04 -t tonsai-cuda .
ARG BASE=python:3.11-slim
FROM ${BASE}

# fasttext and DeepSpeed compile: they want a C++ compiler and Python's headers.
RUN apt-get update \
    && apt-get install -y --no-install-recommends git g++ python3 python3-dev python3-pip \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m pip install --no-cache-dir --break-system-packages uv

WORKDIR /tonsai
COPY pyproject.toml uv.lock README.md LICENSE ./
COPY tonsai_pipeline/__init__.py tonsai_pipeline/
# Dependencies are a layer of their own: a change of the code installs none again.
RUN uv sync --locked --no-default-groups --extra all --no-install-project --compile-bytecode
COPY . .
RUN uv sync --locked --no-default-groups --extra all --compile-bytecode

ENV PATH=/tonsai/.venv/bin:$PATH TONSAI_HOME=/data DAGSTER_HOME=/data/dagster
# Holds for processors like the builder's; on another kind the first run compiles again.
RUN tonsai warm-up
RUN mkdir -p /data/dagster && cp dagster.yaml /data/dagster/
VOLUME /data
EXPOSE 3000
CMD ["tonsai", "--help"]
