FROM --platform=linux/arm64 alpine AS a
FROM --platform=$TARGETPLATFORM alpine
COPY --from=a /x /x
