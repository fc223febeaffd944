FROM busybox
RUN --mount=type=cache,target=/cache,mode=0711 echo kept > /cache/file && [ "$(stat -c %a /cache)" = 711 ]
RUN [ ! -e /cache/file ]
RUN --mount=type=cache,id=/cache,target=/elsewhere [ "$(cat /elsewhere/file)" = kept ]
RUN --mount=type=cache,target=/cache,sharing=locked,ro [ -e /cache/file ] && ! touch /cache/other
