FROM scratch
COPY --from=3 /x /x
