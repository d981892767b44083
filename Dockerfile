FROM python:3.12-slim
RUN useradd --create-home pitboss && install -d -o pitboss /data
WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir --compile ".[cluster,s3]"
USER pitboss
# kernels compiled ahead: the first run starts as fast as the others
RUN python -c "from pitboss.jobs.backtest import warm_up; warm_up()"
VOLUME /data
CMD ["pitboss", "serve", "--no-worker"]
