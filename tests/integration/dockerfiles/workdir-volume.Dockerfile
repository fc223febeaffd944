FROM busybox
ENV PLACE=/deep
WORKDIR $PLACE/er
WORKDIR still
RUN [ "$(pwd)" = /deep/er/still ] && [ "$(stat -c %a:%u /deep/er)" = 755:0 ]
COPY plain.txt .
COPY plain.txt sub/
RUN [ -e /deep/er/still/plain.txt ] && [ -e /deep/er/still/sub/plain.txt ]
VOLUME /data
RUN mkdir -p /data && echo kept > /data/file
RUN [ "$(cat /data/file)" = kept ]
