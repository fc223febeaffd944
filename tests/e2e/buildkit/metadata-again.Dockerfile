FROM BASE AS below
ENV ONE=1 TWO=2
LABEL kept=yes changed=before
EXPOSE 80
VOLUME /data
HEALTHCHECK CMD ["/bin/true"]
CMD ["before"]
WORKDIR /below
USER app
STOPSIGNAL 9
FROM below
ENV TWO=$TWO$TWO ONE=
LABEL changed=after
EXPOSE 81 80/tcp
VOLUME /other
HEALTHCHECK --timeout=1m CMD ["/bin/false"]
SHELL ["/bin/sh", "-ec"]
ENTRYPOINT exec echo "$ONE"
USER 1000
STOPSIGNAL SIGTERM
WORKDIR ..
