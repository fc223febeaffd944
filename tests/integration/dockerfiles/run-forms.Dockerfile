FROM busybox
ENV WHO=world EMPTY=
ARG GREETING=hello
WORKDIR /work/dir
RUN echo $GREETING $WHO > said && [ "$(cat /work/dir/said)" = "hello world" ]
RUN ["/bin/sh", "-c", "[ \"$WHO\" = world ]"]
RUN ["/bin/touch", "$WHO"]
RUN [ -e '$WHO' ]
RUN [ -n "$PATH" ] \
    # a comment
    && [ "${EMPTY-unset}" = "" ]
USER 1234:5678
RUN [ "$(id -u):$(id -g)" = 1234:5678 ]
