FROM scratch
ARG V=arg
ENV V=env
ARG V=again
LABEL v=$V
