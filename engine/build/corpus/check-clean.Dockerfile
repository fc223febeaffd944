# check=error=true
ARG VERSION=3
FROM alpine:${VERSION} AS build
WORKDIR /src
COPY . .
RUN make
FROM scratch
COPY --from=build /src/out /app
ENTRYPOINT ["/app"]
