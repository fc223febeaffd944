ARG S=x
FROM scratch
COPY --from=$S a /
