FROM base AS one
ENTRYPOINT ["/e"]
FROM scratch AS two
CMD ["c"]
ENTRYPOINT ["/e", "-x"]
FROM two AS three
ENTRYPOINT ["/f"]
FROM two
CMD echo $HOME | cat
COPY --from=one / /
COPY --from=three / /
