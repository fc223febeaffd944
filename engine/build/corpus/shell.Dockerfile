FROM scratch
CMD a
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENTRYPOINT b
RUN c
