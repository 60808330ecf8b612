# The binary on an image that has only a C library and certificates: no shell, no root user.
#
#   docker build -t clickcast .
#   docker run --rm clickcast predict --help
#
# The kernels choose their instruction set at run time, so one image per architecture fits every x86-64 or arm64 node.
FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --package clickcast \
    && install -m 0755 target/release/clickcast /clickcast

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /clickcast /usr/local/bin/clickcast
# A number, so that Kubernetes can verify that it isn't root.
USER 65532:65532
# The binary writes nothing by itself; --cache sets the folder of the model cache.
WORKDIR /tmp
ENTRYPOINT ["/usr/local/bin/clickcast"]
CMD ["--help"]
