FROM scratch AS early
COPY --from=late /x /x
FROM scratch AS late
COPY x /x
