FROM scratch
USER x
RUN <<EOF
echo never ends
