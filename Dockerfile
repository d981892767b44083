FROM node:22-slim AS desk
WORKDIR /app
COPY script/assets script/assets
COPY src/pitboss/web/assets src/pitboss/web/assets
RUN script/assets

FROM python:3.12-slim
RUN useradd --create-home pitboss && install -d -o pitboss /data
WORKDIR /app
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY script/assets script/assets
COPY src src
COPY --from=desk /app/src/pitboss/web/static src/pitboss/web/static
RUN pip install --no-cache-dir --compile ".[cluster,s3]"
USER pitboss
# kernels compiled ahead: the first run starts as fast as the others
RUN python -c "from pitboss.backtesting.warming import warm_up; warm_up()"
VOLUME /data
CMD ["pitboss", "serve", "--no-worker"]
