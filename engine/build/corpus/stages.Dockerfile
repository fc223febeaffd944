FROM golang AS build
RUN make
FROM build AS test
RUN make test
FROM scratch AS docs
COPY --from=texlive /doc /doc
FROM alpine
COPY --from=build /out /out
COPY --from=0 /src /src
RUN --mount=from=busybox,target=/bb /bb/sh
