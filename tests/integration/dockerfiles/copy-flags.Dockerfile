FROM busybox
RUN echo 'app:x:1001:1002::/:/bin/sh' > /etc/passwd && echo 'group:x:1003:' > /etc/group
COPY --chown=app:group plain.txt /named
COPY --chown=app plain.txt /user
COPY --chown=5:6 plain.txt /numbers
COPY --chmod=0640 plain.txt /octal
COPY --chmod=u=rwx,go=r plain.txt /symbolic
COPY --parents dir/./sub dir/b.txt /parents/
COPY --exclude=*.md --exclude=sub/*.txt dir /excluded/
COPY --link plain.txt /linked/plain.txt
RUN [ "$(stat -c %u:%g /named)" = 1001:1003 ] && [ "$(stat -c %u:%g /user)" = 1001:1002 ]
RUN [ "$(stat -c %u:%g /numbers)" = 5:6 ]
RUN [ "$(stat -c %a /octal)" = 640 ] && [ "$(stat -c %a /symbolic)" = 744 ]
RUN [ -e /parents/sub/d.txt ] && [ -e /parents/dir/b.txt ]
RUN [ -e /excluded/b.txt ] && [ ! -e /excluded/a.md ] && [ ! -e /excluded/sub/d.txt ]
RUN [ "$(cat /linked/plain.txt)" = plain ]
