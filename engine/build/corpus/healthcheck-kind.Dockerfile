FROM scratch
HEALTHCHECK CURL localhost
