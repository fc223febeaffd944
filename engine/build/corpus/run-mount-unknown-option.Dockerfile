FROM scratch
RUN --mount=type=cache,traget=/x y
