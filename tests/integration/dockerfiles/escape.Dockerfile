# escape=`
FROM busybox
ENV WINDOWS=C:\dir
RUN [ "$WINDOWS" = 'C:\dir' ] `
    && echo two > /lines
RUN [ "$(cat /lines)" = two ]
