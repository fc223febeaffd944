FROM scratch AS a
HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=2s --start-interval=1s --retries=4 CMD ["/check", "--deep"]
FROM scratch AS b
SHELL ["/bin/bash", "-c"]
HEALTHCHECK CMD curl --fail localhost || exit 1
FROM a AS d
HEALTHCHECK NONE
FROM scratch
COPY --from=a / /
COPY --from=b / /
COPY --from=d / /
