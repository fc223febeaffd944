FROM scratch
RUN --mount=type=tmpfs,target=/x,sharing=shared y
