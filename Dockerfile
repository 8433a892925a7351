FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home switchyard && mkdir -p /state /app && chown switchyard /state /app
USER switchyard
WORKDIR /app
COPY --chown=switchyard . .
RUN make install && .venv/bin/pip install --no-cache-dir --constraint constraints.txt --editable ".[cpu,qdrant,tracing]"
ENV PATH=/app/.venv/bin:$PATH
CMD ["switchyard", "serve", "--host", "0.0.0.0"]
