FROM scratch
ARG TOKENLESS
LABEL a="${TOKENLESS:?give --build-arg TOKENLESS}"
