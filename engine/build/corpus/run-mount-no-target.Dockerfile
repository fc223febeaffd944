FROM scratch
RUN --mount=type=cache y
