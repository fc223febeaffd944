FROM scratch
RUN --mount=type=cahce,target=/x y
