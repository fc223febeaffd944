# escape=\
FROM scratch
RUN a \
  b
COPY <<EOF /x
one
two
EOF
LABEL a=b
