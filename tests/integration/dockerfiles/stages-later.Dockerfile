FROM busybox
COPY --from=late /late /late
RUN [ "$(cat /late)" = late ]
FROM busybox AS late
RUN echo late > /late
