ARG TAG
ARG GOOD=3
FROM busybox:${TAG} AS a
FROM busybox:$GOOD
COPY --from=a / /
