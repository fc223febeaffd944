FROM base AS one
RUN make
FROM tools AS two
RUN use
FROM scratch
COPY --from=one /a /a
COPY --from=two /b /b
COPY --from=src /c /c
RUN --mount=type=bind,from=src,target=/src true
