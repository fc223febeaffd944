FROM busybox AS base
ONBUILD ARG WORD=triggered
ONBUILD RUN echo $WORD > /trigger
ONBUILD COPY plain.txt /copied
ONBUILD RUN <<EOF
echo heredoc > /heredoc
EOF
RUN [ ! -e /trigger ]
FROM base AS app
RUN [ "$(cat /trigger)" = triggered ] && [ -e /copied ] && [ "$(cat /heredoc)" = heredoc ]
FROM app
RUN rm /trigger
