# The binary alone, on an image with a C library, certificates and nothing else: no shell, no root.
#
#   docker build -t clickcast .
#   docker run --rm clickcast predict --help
#
# Kernels choose by the processor they meet, so one image does for every x86-64 or arm64 node.
FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --package clickcast \
    && install -m 0755 target/release/clickcast /clickcast

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /clickcast /usr/local/bin/clickcast
# A number, so that Kubernetes can tell that it isn't root.
USER 65532:65532
# By itself it writes nothing: models are cached where --cache says.
WORKDIR /tmp
ENTRYPOINT ["/usr/local/bin/clickcast"]
CMD ["--help"]
