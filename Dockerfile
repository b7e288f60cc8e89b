# Everything in one image, Detectron2 and mmsegmentation together:
#   docker build --tag colorization-benchmark .
#   docker run --gpus all --ipc host --volume $PWD:/work colorization-benchmark pretext train ...
FROM python:3.12-slim-bookworm
RUN apt-get update && apt-get install --yes --no-install-recommends g++ git make && rm -rf /var/lib/apt/lists/*
COPY . /opt/colorization-benchmark
RUN cd /opt/colorization-benchmark && make everything
ENV PATH=/opt/colorization-benchmark/.venv/bin:$PATH
WORKDIR /work
CMD ["pretext", "--help"]
