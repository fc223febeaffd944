ARG FLAVOUR=sweet
FROM busybox AS base
ARG FLAVOUR LEVEL=1
ENV FROM_BASE=$FLAVOUR
RUN echo "$FLAVOUR" > /flavour
FROM base AS child
RUN [ "$LEVEL:$FROM_BASE" = 1:sweet ] && [ "$(cat /flavour)" = sweet ] && echo child > /child
FROM busybox AS unused
RUN exit 1
FROM busybox
COPY --from=child /child /a
COPY --from=0 /flavour /b
RUN [ "$(cat /a)" = child ] && [ "$(cat /b)" = sweet ] && [ -z "$LEVEL" ] && [ -z "$FROM_BASE" ]
