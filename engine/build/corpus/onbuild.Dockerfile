FROM scratch
ONBUILD COPY --chown=1 . /src
ONBUILD RUN ["make"]
onbuild ENV A=$B
