FROM BASE
COPY --chown=app plain /user
COPY --chown=app:app plain /both
COPY --chown=7 plain /number
COPY --chown=7:8 tree /new/parents/tree
COPY --chown=:9 plain /group
COPY --chown=root:app script /names
COPY --chmod=600 plain /mode
COPY --chmod=0711 tree/sub /modes
COPY --chmod=711 --chown=5 script /changed
USER app
COPY plain /as-user
COPY plain /as/user/deep
WORKDIR /work/of/user
RUN touch /tmp/by-user
