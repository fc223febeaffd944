FROM busybox AS source
RUN mkdir /out && echo built > /out/file
FROM busybox
RUN --mount=target=/context [ "$(cat /context/plain.txt)" = plain ] && ! touch /context/new
RUN --mount=type=bind,source=dir,target=/dir [ -e /dir/sub/d.txt ] && [ ! -e /dir/plain.txt ]
RUN --mount=type=bind,from=source,source=/out,target=/from [ "$(cat /from/file)" = built ]
RUN --mount=type=bind,from=source,source=/out,target=/from,rw echo lost > /from/file
RUN --mount=type=bind,from=source,source=/out,target=/from [ "$(cat /from/file)" = built ]
