FROM scratch
ARG 1ST=x
