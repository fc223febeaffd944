# check=experimental=all
# the version
ARG VERSION=1
# LEVEL of the log
ARG LEVEL=2

# final image
FROM scratch AS web
