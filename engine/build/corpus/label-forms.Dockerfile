FROM scratch
LABEL a=b "c d"="e f" multi="x \
  y"
LABEL legacy the whole rest
LABEL version="1.0" a=
