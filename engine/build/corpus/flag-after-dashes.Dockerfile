FROM scratch
RUN -- --help
CMD -- --verbose
ENTRYPOINT ["--x"]
