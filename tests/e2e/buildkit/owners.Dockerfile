FROM BASE
RUN echo odd:x:77:88::/:/bin/sh >> /etc/passwd && echo team:x:99:odd >> /etc/group
COPY --chown=77 plain /number
COPY --chown=odd plain /name
COPY --chown=odd:team plain /both
COPY --chown=:team plain /group
COPY --chown=77:team tree/sub /new/folder
USER odd
WORKDIR /of/name
COPY plain .
USER 77
WORKDIR /of/number
USER odd:team
WORKDIR /of/both
USER 5:6
WORKDIR /of/numbers/deep
RUN /bin/busybox id > /tmp/id
WORKDIR /tmp
USER 0
WORKDIR /of/root
