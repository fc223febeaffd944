FROM BASE
RUN mkdir -p /real /over/there && /bin/busybox ln -s /real /link && /bin/busybox ln -s plain /over/dangling
COPY link /followed
COPY tree-link /tree
COPY plain /link/
COPY plain /link/below/deeper
COPY links /over
COPY plain /over/there/plain
COPY links/regular links/up /each/
