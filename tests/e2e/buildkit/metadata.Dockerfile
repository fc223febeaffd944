FROM BASE
MAINTAINER someone@example.org
ENV ONE=1 TWO="two words" THREE=a\ b
ENV OLD form of it
LABEL one=1 "two words"="a \"quoted\" value" three='$ONE' four="$ONE"
LABEL version=${ONE}.0
EXPOSE 80 443/tcp 53/udp 9000-9003/tcp
VOLUME /data /more
VOLUME ["/json", "/list"]
WORKDIR /srv/app
WORKDIR sub
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=5s --timeout=3s --start-period=1m --retries=2 CMD ["echo", "$ONE"]
USER app:1001
ENTRYPOINT ["/bin/sh", "-c"]
CMD ["echo \"$ONE\"", "rest"]
ONBUILD RUN echo $ONE > /trigger
ONBUILD COPY . /later
