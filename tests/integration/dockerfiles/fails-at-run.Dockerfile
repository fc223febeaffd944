FROM busybox
RUN true
RUN echo last words; \
    exit 3
