FROM BASE
RUN mkdir -p /a/b /c && chmod 700 /a && chown 5:6 /a && echo x > /c/plain && chmod 711 /c/plain
COPY tree /a
COPY --chown=7:8 tree/sub /c
COPY --chown=7:8 plain /a/b/
COPY script /c/plain
COPY tree/sub /a/sub
COPY --chmod=644 script /c/script
COPY empty /a
COPY --chown=1:2 plain /c
RUN mkdir -p /x/sub /x/none /y/sub && chmod 700 /x/sub /y/sub && chown 9:9 /x/sub /y /y/sub
COPY tree /x
COPY --chown=1:1 tree/ /y/
COPY --chmod=600 links/regular /x/sub/
