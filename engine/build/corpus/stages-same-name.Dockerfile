FROM a AS x
FROM b AS x
FROM scratch
COPY --from=x /x /x
