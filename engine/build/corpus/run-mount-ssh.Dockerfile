FROM scratch
RUN --mount=type=ssh git clone x
