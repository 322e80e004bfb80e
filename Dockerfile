# The image of the action: the program, ONNX Runtime's library, and git, for the spec of the base commit.

FROM rust:1.94-bookworm AS build
WORKDIR /build
COPY . .
# `--build-arg FEATURES=cluster` for the image of a cluster's roles.
ARG FEATURES=
RUN CARGO_PROFILE_RELEASE_STRIP=symbols cargo build --release --locked --features "$FEATURES"

# The program alone: `docker build --target binary --output type=local,dest=FOLDER .`
FROM scratch AS binary
COPY --from=build /build/target/release/modelgate /modelgate

# ONNX Runtime's shared library comes inside its Python wheel. The digests are those for arm64 and amd64.
FROM python:3.11-slim-bookworm AS runtime
RUN printf '%s ' onnxruntime==1.26.0 \
      --hash=sha256:35c7c7b0ac2e02001d28fab6c9fc24e9abc5e6faa35e6e19c63cecf1406ba89f \
      --hash=sha256:11a8df4dcfe9ad5ff0bd71a7571dbed019fabc7594676c89fe8b86ea029c246f > /requirements.txt \
 && pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: --target /wheel \
      --requirement /requirements.txt

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="modelgate" \
      org.opencontainers.image.description="The gate between a pull request and production for machine-learning models" \
      org.opencontainers.image.source="https://github.com/modelgate/modelgate" \
      org.opencontainers.image.licenses="Apache-2.0"
# No versions, since a stable Debian has one of each, and a named one is gone from the mirrors at its next security update.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates git libstdc++6 \
 && rm -rf /var/lib/apt/lists/*
COPY LICENSE /usr/share/doc/modelgate/
COPY --from=runtime /wheel/onnxruntime/LICENSE /wheel/onnxruntime/ThirdPartyNotices.txt /usr/share/doc/onnxruntime/
COPY --from=runtime /wheel/onnxruntime/capi/libonnxruntime.so.1.26.0 /usr/local/lib/
COPY --from=build /build/target/release/modelgate /usr/local/bin/
ENV ORT_DYLIB_PATH=/usr/local/lib/libonnxruntime.so.1.26.0
# GitHub runs actions as root, in a folder of its choice: so neither USER nor WORKDIR.
ENTRYPOINT ["/usr/local/bin/modelgate"]
