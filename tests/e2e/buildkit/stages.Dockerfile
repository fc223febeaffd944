FROM BASE AS one
RUN mkdir /out && echo 1 > /out/one && chown 5:6 /out/one && chmod 600 /out/one && chmod 750 /out
ENV HIDDEN=yes
FROM one AS two
RUN echo 2 > /out/two && /bin/busybox ln -s one /out/link
FROM BASE AS unused
RUN exit 1
FROM BASE
COPY --from=two /out /copied
COPY --from=two /out/ /copied/again/
COPY --from=one /out/one /single
COPY --from=0 --chown=app:app /out /owned
COPY --from=two /out/link /linked
COPY --from=BASE /etc/passwd /etc/group /of-image/
COPY --from=two /out/o* /globbed/
COPY --from=one /bin/busybox /tools/
