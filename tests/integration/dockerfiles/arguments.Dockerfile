FROM busybox
ARG GIVEN=default TARGETARCH TARGETOS
ARG UNSET
ENV GIVEN_LATER=${GIVEN}!
ENV BASE=/usr/local/lib/libx.so.1 SHORT=${GIVEN:+yes}
ENV FILE=${BASE##*/} DIR=${BASE%/*} DASHED=${BASE//\//-} MAYBE=${UNSET:-none}
RUN [ "$GIVEN:$GIVEN_LATER:$SHORT" = "from outside:from outside!:yes" ]
RUN [ -n "$TARGETARCH" ] && [ "$TARGETOS" = linux ] && [ -z "${UNSET+set}" ]
RUN [ "$FILE $DIR" = "libx.so.1 /usr/local/lib" ] && [ "$DASHED" = "-usr-local-lib-libx.so.1" ]
RUN [ "$MAYBE" = none ] && [ "$HTTP_PROXY" = http://proxy.example ]
