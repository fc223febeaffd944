FROM alpine AS a
FROM base
